// Package browser drives a real Chromium in tests, as a person would: it opens pages, types, clicks where the mouse would
// click, and waits for what can be seen. It knows nothing of the hub but how JupyterLab looks (lab.go).
//
//	b := browser.New(t)              // one Chromium for the test and its subtests
//	page := b.Page(t)                // a tab with cookies of its own
//	page.Open(hubURL)
//	page.Fill("input[name=username]", "ada")
//	page.ClickText("button", "Sign in")
//	page.WaitURL("home", func(u string) bool { return strings.HasSuffix(u, "/hub/home") })
//
// Every method that waits looks again and again until the condition holds or the page's patience ends; then the test fails
// with the page's address, its text, its console errors and, if $NOMADHUB_SCREENSHOTS names a folder, a picture.
package browser

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/nomadhub/nomadhub/internal/deps"
)

const (
	// startPatience is how long Chromium may take to begin: the machine may be compiling beside us.
	startPatience = 2 * time.Minute
	// stopPatience is how long it may take to end before it is killed.
	stopPatience = 20 * time.Second
)

// Browser is one running Chromium.
type Browser struct {
	ctx    context.Context //nolint:containedctx // chromedp keeps the connection to the browser in it
	cancel context.CancelFunc
	dir    string
}

// AnyCertificate has Chromium believe every certificate, for tests that speak TLS.
const AnyCertificate = "ignore-certificate-errors"

// Start starts the Chromium at path, without a window, with an empty profile and with these switches on. What it prints goes to log. Close it in the end.
func Start(ctx context.Context, path string, log io.Writer, switches ...string) (*Browser, error) {
	dir, err := os.MkdirTemp("", "nomadhub-chromium-")
	if err != nil {
		return nil, fmt.Errorf("make a profile for Chromium: %w", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(dir),
		chromedp.CombinedOutput(log),
		chromedp.WSURLReadTimeout(startPatience),
		chromedp.WindowSize(1280, 900),
		// Tests run as root and in containers, where Chromium's sandbox cannot be set up; the pages are our own.
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		// Nothing shall leave the machine.
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("no-pings", true),
		chromedp.Flag("lang", "en-US"),
	)
	for _, name := range switches {
		opts = append(opts, chromedp.Flag(name, true))
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.WithoutCancel(ctx), opts...)
	tab, cancelTab := chromedp.NewContext(allocator)
	b := &Browser{ctx: tab, dir: dir, cancel: func() { cancelTab(); cancelAllocator() }}
	// The browser lives as long as the context of the first call, so that call cannot have a deadline of its own.
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(tab) }()
	select {
	case err = <-started:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startPatience):
		err = context.DeadlineExceeded
	}
	if err != nil {
		b.cancel()
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start Chromium %s: %w", path, err)
	}
	return b, nil
}

// Close ends Chromium with all its pages and removes its profile.
func (b *Browser) Close() error {
	ctx, cancel := context.WithTimeout(b.ctx, stopPatience)
	defer cancel()
	err := chromedp.Cancel(ctx)
	b.cancel()
	if err != nil {
		err = fmt.Errorf("stop Chromium: %w", err)
	}
	if rmErr := os.RemoveAll(b.dir); err == nil {
		err = rmErr
	}
	return err
}

// New starts a Chromium that ends with the test, with these switches on. Without one on this machine, and no way to install it, the test is skipped with
// a sentence; if $NOMADHUB_TEST_REQUIRE is set it fails instead.
func New(t testing.TB, switches ...string) *Browser {
	t.Helper()
	path, err := deps.EnsureChromium(t.Context(), t.Output())
	if err != nil {
		Missing(t, err)
	}
	b, err := Start(t.Context(), path, io.Discard, switches...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Log(err)
		}
	})
	return b
}

// Missing skips the test because of something that this machine lacks, or fails it if $NOMADHUB_TEST_REQUIRE is set, as in CI: there
// a test that silently does not run would be a lie.
func Missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("NOMADHUB_TEST_REQUIRE") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}
