package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	defaultPatience = 30 * time.Second
	pollEvery       = 50 * time.Millisecond
	maxConsole      = 500 // console messages kept
)

// Page is one tab. Its methods fail the test that it was made for, so they are called from that test's goroutine.
type Page struct {
	t        testing.TB
	ctx      context.Context //nolint:containedctx // chromedp keeps the connection to the tab in it
	patience time.Duration

	mu      sync.Mutex
	console []string
}

// Page opens a tab that shares nothing with others: as another person's browser, or a private window. It closes with the test.
func (b *Browser) Page(t testing.TB) *Page {
	t.Helper()
	return newPage(t, b.ctx, chromedp.WithNewBrowserContext())
}

// Tab opens another tab that shares the cookies of this one.
func (p *Page) Tab() *Page {
	p.t.Helper()
	return newPage(p.t, p.ctx)
}

func newPage(t testing.TB, parent context.Context, opts ...chromedp.ContextOption) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opts...)
	t.Cleanup(cancel)
	p := &Page{t: t, ctx: ctx, patience: defaultPatience}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	go p.gatherConsole()
	go p.acceptDialogs()
	return p
}

// gatherConsole ends with the tab.
func (p *Page) gatherConsole() {
	for m, err := range chromedp.Console(p.ctx) {
		if err != nil {
			return
		}
		if m.Type != chromedp.ConsoleError && !m.IsException() {
			continue
		}
		p.mu.Lock()
		if len(p.console) < maxConsole {
			p.console = append(p.console, fmt.Sprintf("%s (%s:%d)", m.Text, m.URL, m.Line+1))
		}
		p.mu.Unlock()
	}
}

// acceptDialogs says yes to whatever a page asks in a dialog of the browser, such as leaving JupyterLab with unsaved work. Until
// it is answered the tab stands still.
func (p *Page) acceptDialogs() {
	for _, err := range chromedp.Events(p.ctx, page.JavascriptDialogOpening) {
		if err != nil {
			return
		}
		_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
	}
}

// SetPatience changes how long each later wait may take; 30 seconds at first.
func (p *Page) SetPatience(d time.Duration) { p.patience = d }

// ConsoleErrors are the errors that the page has written to the console so far, uncaught exceptions, blocked and failed requests
// among them.
func (p *Page) ConsoleErrors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.console)
}

// Open goes to an address and returns when the page has loaded, after all redirects of the server.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.load("open "+url, chromedp.Navigate(url))
}

// Reload loads the page again.
func (p *Page) Reload() {
	p.t.Helper()
	p.load("reload", chromedp.Reload())
}

// load does what loads a page, again if that was given up for a reason that is not the page's: another load that was on its way and is broken off by this
// one, or a network device of the machine that came or went.
func (p *Page) load(what string, action chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	err := p.repeat(func(ctx context.Context) error { return chromedp.Do(ctx, action) }, func(err error) bool {
		failed, ok := errors.AsType[*chromedp.LoadError](err)
		return ok && (failed.ErrorText == "net::ERR_ABORTED" || failed.ErrorText == "net::ERR_NETWORK_CHANGED")
	})
	if err != nil {
		p.fail("%s: %v", what, err)
	}
}

// Back goes to the page before, as the browser's button does. It does not wait for it: a page that the browser kept in memory
// comes back without loading.
func (p *Page) Back() {
	p.t.Helper()
	Eval[bool](p, "(history.back(), true)")
}

// URL is the address of the page as the address bar shows it.
func (p *Page) URL() string {
	p.t.Helper()
	return Eval[string](p, "location.href")
}

// Status is the HTTP status with which the server answered the page.
func (p *Page) Status() int {
	p.t.Helper()
	return Eval[int](p, `performance.getEntriesByType("navigation")[0].responseStatus`)
}

// Text is what a person can read of the first element that the CSS selector finds, "" if there is none.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, quote(selector)))
}

// Texts is what a person can read of each element that the CSS selector finds.
func (p *Page) Texts(selector string) []string {
	p.t.Helper()
	return Eval[[]string](p, fmt.Sprintf(`[...document.querySelectorAll(%s)].map(e => e.innerText)`, quote(selector)))
}

// Attribute is the value of an attribute of the first element that the CSS selector finds, "" if there is none.
func (p *Page) Attribute(selector, name string) string {
	p.t.Helper()
	return Eval[string](p, fmt.Sprintf(`document.querySelector(%s)?.getAttribute(%s) ?? ""`, quote(selector), quote(name)))
}

// Has tells whether the CSS selector finds an element that can be seen.
func (p *Page) Has(selector string) bool {
	p.t.Helper()
	return Eval[bool](p, visibleJS(selector))
}

// Fill replaces what is in a field, or chooses the option with that value in a select.
func (p *Page) Fill(selector, value string) {
	p.t.Helper()
	p.WaitVisible(selector)
	isSelect := Eval[bool](p, fmt.Sprintf(`(() => {
		const e = document.querySelector(%s);
		if (e instanceof HTMLSelectElement) {
			e.value = %s;
			e.dispatchEvent(new Event("input", {bubbles: true}));
			e.dispatchEvent(new Event("change", {bubbles: true}));
			return true;
		}
		e.focus();
		e.select?.();
		return false;
	})()`, quote(selector), quote(value)))
	if isSelect {
		return
	}
	p.Press("\b") // deletes what is selected; an empty text would not
	p.Type(value)
}

// Type inserts text where the cursor is, all at once as from the clipboard.
func (p *Page) Type(text string) {
	p.t.Helper()
	p.do("type", func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, input.InsertText, input.InsertTextParams{Text: text})
		return chromedp.Void{}, err
	})
}

// Press presses a key, with modifiers held down: a printable one as itself, others by the names of package chromedp/kb (kb.Enter,
// kb.Tab, kb.Escape; kb.ModifierShift, kb.ModifierCtrl).
func (p *Page) Press(key string, modifiers ...chromedp.Modifier) {
	p.t.Helper()
	p.do("press a key", func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		for _, r := range key {
			for _, event := range keyEvents(r, modifiers) {
				if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, event); err != nil {
					return chromedp.Void{}, err
				}
			}
		}
		return chromedp.Void{}, nil
	})
}

// keyEvents are a key's way down and up. The text that it would enter goes with the way down, as from a real keyboard, so that a
// page which takes the key for a shortcut prevents the text. (chromedp.KeyEvent sends it separately, and it comes in anyway.)
func keyEvents(r rune, modifiers []chromedp.Modifier) []input.DispatchKeyEventParams {
	var held chromedp.Modifier
	for _, m := range modifiers {
		held |= m
	}
	var events []input.DispatchKeyEventParams
	for _, event := range kb.Encode(r) {
		if event.Type == kb.KeyChar {
			if held&^kb.ModifierShift == 0 { // Ctrl+A enters nothing
				down := &events[len(events)-1]
				down.Type, down.Text, down.UnmodifiedText = input.DispatchKeyEventTypeKeyDown, event.Text, event.UnmodifiedText
			}
			continue
		}
		next := *event
		if next.Type == input.DispatchKeyEventTypeKeyDown {
			next.Type = input.DispatchKeyEventTypeRawKeyDown
		}
		next.Modifiers |= int64(held)
		events = append(events, next)
	}
	return events
}

// Click clicks with the mouse in the middle of the first visible element that the CSS selector finds. It waits until the element
// can be clicked: enabled, at rest, with nothing lying over it.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.click(fmt.Sprintf("[...document.querySelectorAll(%s)].find(e => e.getClientRects().length)", quote(selector)), selector)
}

// ClickText clicks the first visible element that the CSS selector finds and that reads exactly as text, apart from white space
// around it: ClickText("button", "Start").
func (p *Page) ClickText(selector, text string) {
	p.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll(%s)].find(e => e.getClientRects().length && e.innerText.trim() === %s)`,
		quote(selector), quote(text))
	p.click(find, fmt.Sprintf("%s that reads %q", selector, text))
}

// spot is where an element can be clicked, or why it cannot.
type spot struct {
	X, Y    float64
	Problem string
}

const spotJS = `(() => {
	const e = %s;
	if (!e) return {Problem: "none is visible"};
	if (e.disabled || e.getAttribute("aria-disabled") === "true") return {Problem: "it is disabled"};
	e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
	const r = e.getClientRects()[0];
	if (!r || !r.width || !r.height || getComputedStyle(e).visibility !== "visible") return {Problem: "it is not visible"};
	const x = r.x + r.width / 2, y = r.y + r.height / 2, top = document.elementFromPoint(x, y);
	if (!top || !(e.contains(top) || top.contains(e))) return {Problem: "it is covered by " + (top?.outerHTML.slice(0, 200) ?? "nothing")};
	return {X: x, Y: y, Problem: ""};
})()`

func (p *Page) click(element, name string) {
	p.t.Helper()
	var last spot
	p.poll("click "+name, p.patience, func(ctx context.Context) (bool, error) {
		at, err := chromedp.Run(ctx, chromedp.Evaluate[spot](fmt.Sprintf(spotJS, element)))
		if err != nil {
			return false, err
		}
		if at.Problem != "" {
			return false, fmt.Errorf("%s", at.Problem)
		}
		moved := at != last
		last = at
		return !moved, nil
	})
	p.do("click "+name, chromedp.MouseClickXY(last.X, last.Y))
}

// Focused describes the element that has the keyboard, as `TAG "what it reads"`, for tests of working without a mouse.
func (p *Page) Focused() string {
	p.t.Helper()
	return Eval[string](p, `(() => {
		const e = document.activeElement;
		const label = e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText || e.value || "";
		return e.tagName.toLowerCase() + " " + JSON.stringify(label.trim().slice(0, 80));
	})()`)
}

// Eval runs JavaScript in the page and returns its value. A promise is waited for. If the page is replaced by another meanwhile, the script runs in that one:
// a script that leads away from its page must not wait for that.
func Eval[T any](p *Page, script string) T {
	p.t.Helper()
	var value T
	err := p.repeat(func(ctx context.Context) (err error) {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
		return err
	}, isReplaced)
	if err != nil {
		p.fail("run %s: %v", script, err)
	}
	return value
}

// isReplaced tells whether a script did not end because its page went away. Chromium has one code for many errors, so its words tell.
func isReplaced(err error) bool {
	failed, ok := errors.AsType[*cdproto.Error](err)
	return ok && slices.ContainsFunc([]string{
		"Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context", "Cannot find default execution context",
	}, func(words string) bool { return strings.Contains(failed.Message, words) })
}

// do runs one action within the page's patience.
func (p *Page) do(what string, action chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		p.fail("%s: %v", what, err)
	}
}

// quote makes a JavaScript string.
func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil { // cannot be: every string has a JSON form
		return `""`
	}
	return strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`).Replace(string(text))
}
