package profile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// layer is a part of the configuration that fits one type: expressions, which become values for one user and server.
type layer struct {
	attributes []attribute
	blocks     []innerBlock
	where      hcl.Range
}

type attribute struct {
	name  string // as it stands in the file
	field int    // of the type; -1 for free attributes
	expr  hclsyntax.Expression
}

type innerBlock struct {
	field int
	label string
	layer layer
}

// empty tells whether nothing is said.
func (l layer) empty() bool { return len(l.attributes)+len(l.blocks) == 0 }

// has tells whether an attribute is said.
func (l layer) has(name string) bool {
	return slices.ContainsFunc(l.attributes, func(a attribute) bool { return a.name == name })
}

// element is one attribute or block that a type has.
type element struct {
	name, kind string // kind: "" an attribute, else block, label, list or free
	field      int
}

// elements are what may stand in a block of this type.
func elements(t reflect.Type) []element {
	var found []element
	for i := range t.NumField() {
		if name, kind, _ := strings.Cut(t.Field(i).Tag.Get("hcl"), ","); name != "" {
			found = append(found, element{name, kind, i})
		}
	}
	return found
}

// inner is the type of a block's content.
func inner(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// problems collects what is wrong with a configuration, each with its place.
type problems []error

func (p *problems) add(at hcl.Range, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s, line %d: %s", at.Filename, at.Start.Line, fmt.Sprintf(format, args...)))
}

func (p *problems) join() error { return errors.Join(*p...) }

// split sorts what stands in a body to the types that have it, and hands the blocks named in special back. What nobody has is a problem.
func (p *problems) split(body *hclsyntax.Body, what string, special []string, types ...reflect.Type) ([]layer, []*hclsyntax.Block) {
	layers := make([]layer, len(types))
	for i := range layers {
		layers[i].where = body.SrcRange
	}
	var rest []*hclsyntax.Block
	for _, attr := range sorted(body.Attributes) {
		if !p.place(layers, types, attr) {
			p.unknown(attr.NameRange, "attribute", attr.Name, what, special, types)
		}
	}
	for _, block := range body.Blocks {
		switch {
		case slices.Contains(special, block.Type):
			rest = append(rest, block)
		case !p.placeBlock(layers, types, block):
			p.unknown(block.TypeRange, "block", block.Type, what, special, types)
		}
	}
	return layers, rest
}

// sorted are the attributes as they stand in the file.
func sorted(attributes hclsyntax.Attributes) []*hclsyntax.Attribute {
	var all []*hclsyntax.Attribute
	for _, a := range attributes {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return all
}

func (p *problems) place(layers []layer, types []reflect.Type, attr *hclsyntax.Attribute) bool {
	for i, t := range types {
		for _, e := range elements(t) {
			if e.kind == "" && e.name == attr.Name {
				layers[i].attributes = append(layers[i].attributes, attribute{attr.Name, e.field, attr.Expr})
				return true
			}
		}
	}
	return false
}

func (p *problems) placeBlock(layers []layer, types []reflect.Type, block *hclsyntax.Block) bool {
	for i, t := range types {
		for _, e := range elements(t) {
			if e.kind != "" && e.name == block.Type {
				p.addBlock(&layers[i], t, e, block)
				return true
			}
		}
	}
	return false
}

func (p *problems) addBlock(l *layer, t reflect.Type, e element, block *hclsyntax.Block) {
	b := innerBlock{field: e.field}
	switch {
	case e.kind == "label" && len(block.Labels) != 1:
		p.add(block.TypeRange, "A block %s needs one name: %s \"NAME\" { … }.", e.name, e.name)
		return
	case e.kind != "label" && len(block.Labels) > 0:
		p.add(block.TypeRange, "A block %s has no name: write %s { … }.", e.name, e.name)
		return
	case e.kind == "label":
		b.label = block.Labels[0]
	}
	repeated := slices.ContainsFunc(l.blocks, func(o innerBlock) bool { return o.field == b.field && o.label == b.label })
	if repeated && e.kind != "list" {
		p.add(block.TypeRange, "There are two blocks %s%s here; write their content into one.", e.name, quoted(b.label))
		return
	}
	if e.kind == "free" {
		b.layer = p.free(block)
	} else {
		layers, _ := p.split(block.Body, "a block "+e.name, nil, inner(t.Field(e.field).Type))
		b.layer = layers[0]
	}
	b.layer.where = block.DefRange()
	l.blocks = append(l.blocks, b)
}

func quoted(label string) string {
	if label == "" {
		return ""
	}
	return fmt.Sprintf(" %q", label)
}

// free reads a block whose attributes are not ours to know.
func (p *problems) free(block *hclsyntax.Block) layer {
	var l layer
	for _, attr := range sorted(block.Body.Attributes) {
		l.attributes = append(l.attributes, attribute{attr.Name, -1, attr.Expr})
	}
	for _, b := range block.Body.Blocks {
		p.add(b.TypeRange, "The block %s { … } cannot stand here; write %s = [{ … }], which means the same to Nomad.", b.Type, b.Type)
	}
	return l
}

func (p *problems) unknown(at hcl.Range, kind, name, what string, special []string, types []reflect.Type) {
	var near []string
	consider := func(known, as string) {
		if strings.EqualFold(known, name) || distance(known, name) <= 2 {
			near = append(near, as)
		}
	}
	for _, t := range types {
		for _, e := range elements(t) {
			as := e.name + " = …"
			if e.kind != "" {
				as = e.name + " { … }"
			}
			consider(e.name, as)
		}
	}
	for _, s := range special {
		consider(s, s+" { … }")
	}
	hint := "docs/reference/profiles.md lists what there is."
	if len(near) > 0 {
		hint = "Did you mean " + strings.Join(near, " or ") + "?"
	}
	p.add(at, "There is no %s %q in %s. %s", kind, name, what, hint)
}

// distance is how many letters must be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
