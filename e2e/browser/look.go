package browser

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// reportPatience bounds what is asked of a page whose test has failed already.
const reportPatience = 5 * time.Second

// SetViewport makes the visible part of the page that large, in CSS pixels.
func (p *Page) SetViewport(width, height int) {
	p.t.Helper()
	p.do("set the viewport", chromedp.EmulateViewport(int64(width), int64(height)))
}

// SetDark says whether the person prefers dark colours, as the operating system tells it to pages.
func (p *Page) SetDark(dark bool) {
	p.t.Helper()
	p.setMedia("prefers-color-scheme", map[bool]string{true: "dark", false: "light"}[dark])
}

func (p *Page) setMedia(feature, value string) {
	p.t.Helper()
	p.do("emulate "+feature, func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
		})
		return chromedp.Void{}, err
	})
}

// Overflows tells whether the page is wider than the viewport, so that a person would have to scroll sideways.
func (p *Page) Overflows() bool {
	p.t.Helper()
	return Eval[bool](p, "document.documentElement.scrollWidth > document.documentElement.clientWidth")
}

// Screenshot takes a picture of the whole page and writes it to NAME.png in the folder $NOMADHUB_SCREENSHOTS. It does nothing if
// that is not set.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	if err := p.screenshot(name, p.patience); err != nil {
		p.t.Fatalf("screenshot %s: %v", name, err)
	}
}

var unsafeInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (p *Page) screenshot(name string, patience time.Duration) error {
	dir := os.Getenv("NOMADHUB_SCREENSHOTS")
	if dir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: pictures are for everybody
		return err
	}
	file := strings.Trim(unsafeInFileName.ReplaceAllString(name, "-"), "-.") + ".png"
	return os.WriteFile(filepath.Join(dir, file), png, 0o644) //nolint:gosec // G306: pictures are for everybody
}

// fail ends the test and tells what the page looked like.
func (p *Page) fail(format string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, reportPatience)
	defer cancel()
	url, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href"))
	if err == nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`(document.body?.innerText ?? "").slice(0, 2000)`))
		p.t.Logf("the page is %s and reads:\n%s", url, text)
	}
	for _, line := range p.ConsoleErrors() {
		p.t.Log("console: ", line)
	}
	if err := p.screenshot("failed-"+p.t.Name(), reportPatience); err != nil {
		p.t.Log("screenshot: ", err)
	}
	p.t.Fatalf(format, args...)
}
