package browser

import (
	"context"
	"fmt"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// notebookPatience is how long a page of Notebook 7 may take to be there. One of which a part did not come is never there, and says nothing.
const notebookPatience = time.Minute

// notebookKernel is JavaScript for what Notebook 7 says of the kernel of the notebook on the page. It has no status bar; only the circle in its toolbar tells.
const notebookKernel = `(document.querySelector(".jp-Notebook-ExecutionIndicator")?.dataset.status ?? "")`

// notebookIdle is JavaScript that is true while that kernel rests.
const notebookIdle = notebookKernel + ` === "idle"`

// NotebookRunCell is [Page.LabRunCell] for the notebook that Notebook 7 shows on this page. The circle may say that the kernel rests before there is one, so the
// caller has to know that it is there.
func (p *Page) NotebookRunCell(code string) string {
	p.t.Helper()
	defer p.morePatience()()
	p.WaitTrue("the notebook's kernel rests", notebookIdle)
	mark := p.labTypeCell(code)
	p.Press(kb.Enter, kb.ModifierShift)
	return p.labOutput(mark, notebookIdle)
}

// NotebookOpen opens a page of Notebook 7 and waits until it shows an element that the CSS selector finds and whose text has a part. It loads the page again if it does
// not come, for the reason that labLoad has.
func (p *Page) NotebookOpen(url, selector, text string) {
	p.t.Helper()
	defer p.morePatience()()
	there := fmt.Sprintf(`[...document.querySelectorAll(%s)].some(e => e.innerText.includes(%s))`, quote(selector), quote(text))
	var err error
	for tries := 3; tries > 0; tries-- {
		p.Open(url)
		err = p.try(notebookPatience, func(ctx context.Context) (bool, error) {
			return chromedp.Run(ctx, chromedp.Evaluate[bool](there))
		})
		if err == nil {
			return
		}
		p.t.Logf("%s is loaded again, as it shows no %s: %v", url, selector, p.ConsoleErrors())
	}
	p.fail("%s shows no %s with %q: %v", url, selector, text, err)
}
