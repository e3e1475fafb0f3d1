package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// WriteHCL writes the block as a file that Load reads, every option with its sentence. What is off is commented out: taking the first #
// of each of its lines away puts it in force.
func (b Block) WriteHCL(w io.Writer) error {
	var text bytes.Buffer
	b.writeHCL(&text, "")
	_, err := w.Write(text.Bytes())
	return err
}

func (b Block) writeHCL(w *bytes.Buffer, indent string) {
	if b.Off {
		var on bytes.Buffer
		b.Off = false
		b.writeHCL(&on, indent)
		for line := range strings.Lines(on.String()) {
			if line != "\n" {
				line = "#" + line
			}
			w.WriteString(line)
		}
		return
	}
	inner := indent
	if b.Name != "" {
		inner += "  "
		if b.Doc != "" {
			fmt.Fprintf(w, "%s# %s\n", indent, b.Doc)
		}
		fmt.Fprintf(w, "%s%s {\n", indent, b.title())
	}
	for i, o := range b.Options {
		if i > 0 {
			w.WriteByte('\n')
		}
		fmt.Fprintf(w, "%s# %s\n%s%s = %s\n", inner, o.sentence(), inner, o.Name, o.Value)
	}
	for _, sub := range b.Blocks {
		w.WriteByte('\n')
		sub.writeHCL(w, inner)
	}
	if b.Name != "" {
		fmt.Fprintf(w, "%s}\n", indent)
	}
}

// title is how the block begins in a file.
func (b Block) title() string {
	var title strings.Builder
	title.WriteString(b.Name)
	for _, label := range b.Labels {
		title.WriteString(" " + quote(label))
	}
	return title.String()
}

func (o Option) sentence() string {
	if o.Required {
		return o.Doc + " Required."
	}
	return o.Doc
}

// WriteMarkdown writes a table for the block and one for each block in it, under headings of this level.
func (b Block) WriteMarkdown(w io.Writer, level int) error {
	var text bytes.Buffer
	b.writeMarkdown(&text, "", level)
	_, err := w.Write(text.Bytes())
	return err
}

func (b Block) writeMarkdown(w *bytes.Buffer, path string, level int) {
	heading := "Outside of all blocks"
	if b.Name != "" {
		heading = "`" + path + b.title() + "`"
	}
	fmt.Fprintf(w, "\n%s %s\n", strings.Repeat("#", level), heading)
	if b.Doc != "" {
		fmt.Fprintf(w, "\n%s\n", b.Doc)
	}
	if b.Off {
		fmt.Fprintf(w, "\nOff unless a file has this block.\n")
	}
	fmt.Fprintf(w, "\n| option | default | environment | meaning |\n|---|---|---|---|\n")
	for _, o := range b.Options {
		value := "`" + o.Value + "`"
		if o.Required {
			value = "required"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", o.Name, cell(value), cmp.Or(o.Env, "-"), cell(o.Doc))
	}
	for _, sub := range b.Blocks {
		inner := path
		if b.Name != "" {
			inner += b.Name + "."
		}
		sub.writeMarkdown(w, inner, level)
	}
}

// cell keeps a text within its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
