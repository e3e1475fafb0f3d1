package browser

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

// WaitURL waits until the page's address is as wanted, and returns it. what names the wanted address if the wait is in vain.
func (p *Page) WaitURL(what string, wanted func(url string) bool) string {
	p.t.Helper()
	var last string
	p.poll("the address is "+what, p.patience, func(ctx context.Context) (bool, error) {
		url, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href"))
		last = url
		return err == nil && wanted(url), err
	})
	return last
}

// WaitText waits until the page shows the text anywhere.
func (p *Page) WaitText(text string) {
	p.t.Helper()
	p.WaitTextIn("body", text)
}

// WaitTextIn waits until the first element that the CSS selector finds shows the text.
func (p *Page) WaitTextIn(selector, text string) {
	p.t.Helper()
	script := fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, quote(selector))
	p.poll(fmt.Sprintf("%s shows %q", selector, text), p.patience, func(ctx context.Context) (bool, error) {
		shown, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
		return strings.Contains(shown, text), err
	})
}

// WaitVisible waits until the CSS selector finds an element that can be seen.
func (p *Page) WaitVisible(selector string) {
	p.t.Helper()
	p.WaitTrue(selector+" is visible", visibleJS(selector))
}

// WaitGone waits until the CSS selector finds no element that can be seen.
func (p *Page) WaitGone(selector string) {
	p.t.Helper()
	p.WaitTrue(selector+" is gone", "!"+visibleJS(selector))
}

// WaitTrue waits until a JavaScript expression is true. what says what it means if the wait is in vain.
func (p *Page) WaitTrue(what, expression string) {
	p.t.Helper()
	p.poll(what, p.patience, func(ctx context.Context) (bool, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
	})
}

func visibleJS(selector string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%s)].some(e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0)`,
		quote(selector))
}

// poll repeats check until it is true. An error is no end: while a page is being replaced there is nothing to ask.
func (p *Page) poll(what string, patience time.Duration, check func(context.Context) (bool, error)) {
	p.t.Helper()
	if err := p.try(patience, check); err != nil {
		p.fail("waited %s in vain until: %s (%v)", patience, what, err)
	}
}

// repeat does something within the page's patience, again while it fails for a reason that passes.
func (p *Page) repeat(do func(context.Context) error, passes func(error) bool) error {
	var failed error
	if err := p.try(p.patience, func(ctx context.Context) (bool, error) {
		if failed = do(ctx); failed != nil && passes(failed) {
			return false, failed
		}
		return true, nil
	}); err != nil {
		return err
	}
	return failed
}

// try is poll for what may be in vain; the error is that of the last check, if it had one.
func (p *Page) try(patience time.Duration, check func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	var last error
	for {
		ok, err := check(ctx)
		if ok && err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return cmp.Or(last, ctx.Err())
		}
	}
}
