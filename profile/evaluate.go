package profile

import (
	"errors"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// evaluator puts the values of expressions into settings, for one user and server; or, while a configuration is checked, for nobody in particular:
// what depends on the user is unknown then, and only its type is checked.
type evaluator struct {
	problems
	invalid   *InvalidError // what the person can mend
	uncertain bool          // something was unknown
	option    string        // whose effect is evaluated, or ""
}

// apply puts a layer into v, a pointer to the type that the layer was made for.
func (e *evaluator) apply(l layer, v any, ctx *hcl.EvalContext) {
	if s, ok := v.(*settings); ok {
		s.forgetProcessor(l)
	}
	e.applyTo(l, reflect.ValueOf(v).Elem(), ctx)
}

// forgetProcessor clears the ways to ask for processor that exclude each other, if a layer says one of them anew.
func (s *settings) forgetProcessor(l layer) {
	if l.has("cpu") || l.has("cores") || l.has("cpu_guarantee") {
		s.CPU, s.Cores, s.CPUGuarantee = 0, 0, 0
	}
}

func (e *evaluator) applyTo(l layer, v reflect.Value, ctx *hcl.EvalContext) {
	for _, a := range l.attributes {
		if val, ok := e.value(a.expr, ctx); ok {
			field := v.Type().Field(a.field)
			e.assign(v.Field(a.field), target{a.name, field.Tag.Get("is"), field.Tag.Get("text"), a.expr.Range()}, val)
		}
	}
	for _, b := range l.blocks {
		e.applyBlock(b, v.Field(b.field), ctx)
	}
}

func (e *evaluator) applyBlock(b innerBlock, f reflect.Value, ctx *hcl.EvalContext) {
	switch f.Kind() {
	case reflect.Map:
		e.applyFree(b.layer, f, ctx)
	case reflect.Struct:
		e.applyTo(b.layer, f, ctx)
	case reflect.Pointer:
		if f.IsNil() {
			f.Set(reflect.New(f.Type().Elem()))
		}
		e.applyTo(b.layer, f.Elem(), ctx)
	default: // a list of pointers
		e.applyTo(b.layer, member(f, b.label), ctx)
	}
}

// member finds the one with this label, or adds one.
func member(list reflect.Value, label string) reflect.Value {
	for i := range list.Len() {
		if have := list.Index(i).Elem(); label != "" && have.FieldByName("Label").String() == label {
			return have
		}
	}
	added := reflect.New(list.Type().Elem().Elem())
	if label != "" {
		added.Elem().FieldByName("Label").SetString(label)
	}
	list.Set(reflect.Append(list, added))
	return added.Elem()
}

// applyFree puts attributes into a map[string]any.
func (e *evaluator) applyFree(l layer, f reflect.Value, ctx *hcl.EvalContext) {
	if f.IsNil() {
		f.Set(reflect.MakeMap(f.Type()))
	}
	for _, a := range l.attributes {
		val, ok := e.value(a.expr, ctx)
		if !ok || !e.checkText(target{a.name, "", "", a.expr.Range()}, val) {
			continue
		}
		plain, _ := val.UnmarkDeep()
		switch {
		case !plain.IsWhollyKnown():
			e.uncertain = true
		case plain.IsNull():
			f.SetMapIndex(reflect.ValueOf(a.name), reflect.Value{})
		default:
			f.SetMapIndex(reflect.ValueOf(a.name), reflect.ValueOf(plainValue(plain)))
		}
	}
}

// plainValue is a known value in Go's own types.
func plainValue(v cty.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Type() == cty.String:
		return v.AsString()
	case v.Type() == cty.Bool:
		return v.True()
	case v.Type() == cty.Number:
		if n, accuracy := v.AsBigFloat().Int64(); accuracy == 0 {
			return n
		}
		n, _ := v.AsBigFloat().Float64()
		return n
	case v.Type().IsMapType() || v.Type().IsObjectType():
		m := map[string]any{}
		for k, item := range v.Elements() {
			m[k.AsString()] = plainValue(item)
		}
		return m
	default: // lists, sets and tuples
		list := []any{}
		for _, item := range v.Elements() {
			list = append(list, plainValue(item))
		}
		return list
	}
}

// value evaluates one expression.
func (e *evaluator) value(expr hclsyntax.Expression, ctx *hcl.EvalContext) (cty.Value, bool) {
	v, diags := expr.Value(ctx)
	if !diags.HasErrors() {
		return v, true
	}
	if e.option != "" && speaksOfOption(expr) {
		e.refuse(e.option, "This value cannot be used here.")
	}
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			at := expr.Range()
			if d.Subject != nil {
				at = *d.Subject
			}
			e.add(at, "%s. %s%s", d.Summary, d.Detail, interpolationHint(expr))
		}
	}
	return v, false
}

// speaksOfOption tells whether a person's choice decides what an expression gives.
func speaksOfOption(expr hclsyntax.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return t.RootName() == "option" })
}

// interpolationHint helps who writes Nomad's ${attr.…} as in a jobspec.
func interpolationHint(expr hclsyntax.Expression) string {
	for _, t := range expr.Variables() {
		switch t.RootName() {
		case "attr", "meta", "node", "env", "device":
			return " To have Nomad replace ${" + t.RootName() + ".…}, write it with two dollar signs: $${" + t.RootName() + ".…}."
		}
	}
	return ""
}

// refuse remembers the first mistake of the person who chose.
func (e *evaluator) refuse(field, reason string) {
	if e.invalid == nil {
		e.invalid = &InvalidError{Field: field, Reason: reason}
	}
}

// target is where a value goes.
type target struct {
	name string // of the attribute
	is   string // what is good for it
	text string // what of it may come from a person
	at   hcl.Range
}

// assign checks a value and puts it into a field.
func (e *evaluator) assign(f reflect.Value, to target, val cty.Value) {
	if !e.checkText(to, val) {
		return
	}
	if p, ok := reflect.TypeAssert[*image](f.Addr()); ok {
		e.assignImage(p, to, val)
		return
	}
	plain, _ := val.UnmarkDeep()
	if plain.IsNull() {
		f.SetZero()
		return
	}
	err := put(f, to, plain)
	switch {
	case errors.Is(err, errUnknown):
		e.uncertain = true
	case err != nil:
		e.reject(to, val, err.Error())
	}
}

// reject says that a value is not good: to the person if it came of what they chose, else to the operator.
func (e *evaluator) reject(to target, val cty.Value, reason string) {
	for _, t := range taints(val) {
		if t.option != "" {
			e.refuse(t.option, "This value cannot be used: the setting "+to.name+" "+reason+".")
			return
		}
	}
	e.add(to.at, "The setting %s %s.", to.name, reason)
}

// assignImage keeps where the name of an image came from.
func (e *evaluator) assignImage(p *image, to target, val cty.Value) {
	*p = image{}
	for _, t := range taints(val) {
		if t.free {
			p.option = t.option
		}
	}
	plain, _ := val.UnmarkDeep()
	text, err := convert.Convert(plain, cty.String)
	switch {
	case err != nil:
		e.reject(to, val, "needs the name of an image")
	case !text.IsKnown():
		e.uncertain = true
	case text.IsNull():
	case len(taints(val)) > 0 && !imagePattern.MatchString(text.AsString()):
		e.reject(to, val, "needs the name of an image, and "+short(text.AsString())+" is none")
	default:
		p.name = text.AsString()
	}
}
