package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// labPatience is how long JupyterLab may take for one step: loading its megabytes of script, or starting a kernel.
const labPatience = 2 * time.Minute

// What JupyterLab 3 and 4 look like. A hidden panel is one whose tab is not in front.
const (
	labPanel     = `.jp-NotebookPanel:not(.lm-mod-hidden)`
	labCard      = `.jp-LauncherCard[data-category="Notebook"][title^="Python 3"]`
	labNewButton = `.jp-FileBrowser [data-command="launcher:create"], .jp-FileBrowser button[title*="New Launcher"]`
	labEditor    = `.cm-content, .CodeMirror-code`
)

// labIdle is JavaScript that is true while the notebook in front has a kernel that rests, as the status bar says: "Python 3 | Idle".
// (The circle in the notebook's own toolbar looks idle also before there is a kernel, and code that is run then is lost.)
const labIdle = `/\| Idle\s*$/m.test(document.querySelector("#jp-main-statusbar")?.innerText ?? "")`

// labConnected is JavaScript that is true while that kernel can be given code. After its connection was cut and is back, JupyterLab calls it unknown until it
// works again.
const labConnected = `/\| (Idle|Unknown)\s*$/m.test(document.querySelector("#jp-main-statusbar")?.innerText ?? "")`

// LabOpenNotebook opens a new Python 3 notebook from the launcher of the JupyterLab on this page, and waits for its kernel. If the
// workspace was restored without a launcher, it opens one first.
func (p *Page) LabOpenNotebook() {
	p.t.Helper()
	defer p.morePatience()()
	p.labLoad()
	panels := Eval[int](p, `document.querySelectorAll(".jp-NotebookPanel").length`)
	if !p.Has(labCard) {
		p.Click(labNewButton)
	}
	p.Click(labCard)
	p.WaitTrue("a new notebook is open", fmt.Sprintf(`document.querySelectorAll(".jp-NotebookPanel").length > %d`, panels))
	p.WaitTrue("the notebook's kernel rests", labIdle)
}

// labLoad waits for JupyterLab, and loads it again when a part of it did not come: Chromium gives up what it is loading when any network device of the machine
// comes or goes, as those of containers do beside this test.
func (p *Page) labLoad() {
	p.t.Helper()
	const loaded = `!document.querySelector("#jupyterlab-splash") && document.querySelector(%s)`
	const broken = `[...document.querySelectorAll(".jp-Dialog")].find(d => /error|failed/i.test(d.innerText))?.innerText ?? ""`
	for tries := 3; ; tries-- {
		p.WaitTrue("JupyterLab has loaded", fmt.Sprintf(loaded, quote(labCard+", "+labNewButton)))
		said := Eval[string](p, broken)
		if said == "" || tries == 0 {
			return // without tries left, what follows tells what is broken
		}
		p.t.Logf("JupyterLab is loaded again, as it said %q", said)
		p.Reload()
	}
}

// LabRunCell runs code in the last cell of the notebook that is in front in the JupyterLab on this page, opening a new notebook if
// none is, and returns the cell's output. The code must print or return something. An exception in it is output too.
func (p *Page) LabRunCell(code string) string {
	p.t.Helper()
	if !p.Has(labPanel) {
		p.LabOpenNotebook()
	}
	defer p.morePatience()()
	p.WaitTrue("the notebook's kernel can be given code", labConnected)
	mark := p.labTypeCell(code)
	p.Press(kb.Enter, kb.ModifierShift)
	return p.labOutput(mark, labIdle)
}

// labTypeCell writes the code into an empty last cell and returns the mark by which that cell is found again.
func (p *Page) labTypeCell(code string) string {
	p.t.Helper()
	mark := p.labEnterLastCell()
	p.Type(code)
	p.WaitTrue("the cell holds the code", labSource(markedCell(mark))+` !== ""`)
	return mark
}

// labEnterLastCell puts the cursor into an empty last cell and returns the mark by which that cell is found again.
func (p *Page) labEnterLastCell() string {
	p.t.Helper()
	last := labPanel + " .jp-CodeCell:last-of-type"
	cells := fmt.Sprintf(`[...document.querySelectorAll(%s)]`, quote(labPanel+" .jp-Notebook .jp-CodeCell"))
	p.WaitTrue("the notebook has a cell", cells+".length > 0")
	p.click(cells+".at(-1).querySelector("+quote(labEditor)+")", last)
	if Eval[string](p, labSource(cells+".at(-1)")) != "" {
		count := Eval[int](p, cells+".length")
		p.Press(kb.Escape)
		p.Press("b") // a new cell below
		p.WaitTrue("the notebook has one more cell", fmt.Sprintf("%s.length > %d", cells, count))
		p.Press(kb.Enter)
	}
	p.WaitTrue("the cursor is in the last cell", cells+".at(-1).contains(document.activeElement)")
	mark := fmt.Sprintf("run-%d", time.Now().UnixNano())
	Eval[string](p, fmt.Sprintf(`%s.at(-1).dataset.e2e = %s`, cells, quote(mark)))
	return mark
}

// labSource is JavaScript for the code in a cell. An empty editor shows a space without width.
func labSource(cell string) string {
	return fmt.Sprintf(`%s.querySelector(%s).innerText.replaceAll("\u200b", "").trim()`, cell, quote(labEditor))
}

func markedCell(mark string) string {
	return fmt.Sprintf(`document.querySelector("[data-e2e=%s]")`, mark)
}

// labOutput waits until the cell has been run, as its number tells, the kernel rests again, as the JavaScript in idle tells, and something was put out.
func (p *Page) labOutput(mark, idle string) string {
	p.t.Helper()
	script := fmt.Sprintf(`(() => {
		const cell = %s;
		const text = s => [...cell.querySelectorAll(s)].map(e => e.innerText.trim()).join("\n");
		return JSON.stringify({
			Prompt: text(".jp-InputPrompt"), Output: text(".jp-OutputArea-output"), Idle: %s,
		});
	})()`, markedCell(mark), idle)
	var state struct {
		Prompt, Output string
		Idle           bool
	}
	p.poll("the cell has its output", p.patience, func(ctx context.Context) (bool, error) {
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
		if err != nil {
			return false, err
		}
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			return false, err
		}
		if !state.Idle || state.Output == "" || !strings.ContainsAny(state.Prompt, "0123456789") {
			return false, fmt.Errorf("its number is %q, its output %q, the kernel rests: %v", state.Prompt, state.Output, state.Idle)
		}
		return true, nil
	})
	return state.Output
}

// morePatience raises the page's patience to that which JupyterLab needs, and returns what sets it back.
func (p *Page) morePatience() (restore func()) {
	before := p.patience
	p.patience = max(before, labPatience)
	return func() { p.patience = before }
}
