package browser

import "github.com/chromedp/chromedp/kb"

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
