package profile

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"
)

// Block is one profile as it stands in the configuration: profile "NAME" { … }.
type Block struct {
	Name string
	Body hcl.Body
}

// Set is all profiles of one configuration. It never changes; a new configuration is a new Set. A nil Set has no profile.
type Set struct {
	profiles  []*profile
	functions map[string]function.Function
	templates templates
}

// profile is one, as expressions.
type profile struct {
	name    string
	where   hcl.Range
	layers  []conditional // of settings, in the order in which they are applied
	heading layer
	allow   *condition // nil: everybody
	options []*option
	files   templates
	images  bool // whether any layer speaks of allowed_images
}

// conditional is a layer for those whom its condition names.
type conditional struct {
	when  *condition // nil: everybody
	layer layer
}

// condition is a rule as expressions.
type condition struct{ layer layer }

// option is something that a person may choose.
type option struct {
	name    string
	where   hcl.Range
	heading layer
	kind    FieldKind
	allow   *condition
	choices []*choice
	set     *layer
}

type choice struct {
	name    string
	where   hcl.Range
	heading layer
	allow   *condition
	set     *layer
}

// Decode reads profiles, in their order, and the blocks profile_defaults that hold for all of them, the last of which wins. What load gives,
// the functions env and file, may be called while it runs and never later. An error has one line for each mistake, with file and line.
func Decode(blocks []Block, defaults []hcl.Body, load *hcl.EvalContext) (*Set, error) {
	d := &decoder{set: &Set{templates: templates{}}, fallback: &profile{}}
	var bodies []*hclsyntax.Body
	for _, b := range defaults {
		bodies = append(bodies, b.(*hclsyntax.Body)) //nolint:forcetypeassert // the configuration is HCL's own syntax, never JSON
	}
	shared := len(bodies)
	for _, b := range blocks {
		bodies = append(bodies, b.Body.(*hclsyntax.Body)) //nolint:forcetypeassert // as above
	}
	d.set.functions = functions()
	maps.Copy(d.set.functions, d.loadTime(bodies, load))
	for _, b := range bodies {
		unmarkConditions(b)
	}
	for _, b := range bodies[:shared] {
		d.readInto(d.fallback, b, "profile_defaults", false)
	}
	if len(blocks) == 0 && shared > 0 {
		d.add(bodies[0].SrcRange, "There are profile_defaults and no profile. Add a block profile \"NAME\" { … }, which may be empty.")
	}
	for i, b := range blocks {
		d.read(b.Name, bodies[shared+i])
	}
	if err := d.join(); err != nil {
		return nil, err
	}
	seen := map[string]bool{} // a mistake in the defaults is told once, not for each profile
	for _, p := range d.set.profiles {
		for _, err := range d.set.try(p) {
			if !seen[err.Error()] {
				seen[err.Error()] = true
				d.problems = append(d.problems, err)
			}
		}
	}
	return d.set, d.join()
}

type decoder struct {
	problems
	set      *Set
	fallback *profile // what profile_defaults say
}

func (d *decoder) read(name string, body *hclsyntax.Body) {
	p := &profile{name: name, where: body.SrcRange, allow: d.fallback.allow, images: d.fallback.images, files: d.set.templates}
	p.layers = slices.Clone(d.fallback.layers)
	p.options = slices.Clone(d.fallback.options)
	if !namePattern.MatchString(name) {
		d.add(body.SrcRange, "The profile's name %s cannot be used: it needs 1 to 32 characters of a-z, 0-9, hyphen and underscore. Write what people shall read into display_name.", short(name))
	}
	d.readInto(p, body, "a profile", true)
	d.set.profiles = append(d.set.profiles, p)
}

// readInto adds what a body says.
func (d *decoder) readInto(p *profile, body *hclsyntax.Body, what string, own bool) {
	types := []reflect.Type{reflect.TypeFor[settings]()}
	if own {
		types = append(types, reflect.TypeFor[heading]())
	}
	layers, special := d.split(body, what, []string{"allow", "override", "option"}, types...)
	d.addLayer(p, nil, layers[0])
	if own {
		p.heading = layers[1]
	}
	seen := map[string]bool{}
	for _, b := range special {
		if !d.labelled(b, b.Type == "option") {
			continue
		}
		name := b.Type
		if len(b.Labels) > 0 {
			name += "." + b.Labels[0]
		}
		if seen[name] && b.Type != "override" {
			d.add(b.TypeRange, "There are two blocks %s%s here; write their content into one.", b.Type, quoted(labelOf(b)))
			continue
		}
		seen[name] = true
		switch b.Type {
		case "allow":
			p.allow = d.allow(b)
		case "override":
			d.override(p, b)
		case "option":
			d.option(p, b)
		}
	}
}

func labelOf(b *hclsyntax.Block) string {
	if len(b.Labels) == 0 {
		return ""
	}
	return b.Labels[0]
}

// labelled sees to it that a block has one name, or none.
func (d *decoder) labelled(b *hclsyntax.Block, want bool) bool {
	switch {
	case want && len(b.Labels) != 1:
		d.add(b.TypeRange, "A block %s needs one name: %s \"NAME\" { … }.", b.Type, b.Type)
		return false
	case !want && len(b.Labels) > 0:
		d.add(b.TypeRange, "A block %s has no name: write %s { … }.", b.Type, b.Type)
		return false
	}
	return true
}

func (d *decoder) addLayer(p *profile, when *condition, l layer) {
	p.layers = append(p.layers, conditional{when, l})
	p.images = p.images || l.has("allowed_images")
	d.checkLabels(l)
	for _, a := range l.attributes {
		if a.name == "jobspec" {
			d.template(a)
		}
	}
	for _, b := range l.blocks {
		for _, a := range b.layer.attributes {
			if a.name == "secrets" && !readElsewhere(a.expr) {
				d.add(a.expr.Range(), "Secrets do not stand in the configuration, which is shown and copied. Write each as env(\"NAME\") or file(\"PATH\").")
			}
		}
	}
}

// readElsewhere tells whether all values of a map are read from the environment or from files.
func readElsewhere(expr hclsyntax.Expression) bool {
	object, ok := expr.(*hclsyntax.ObjectConsExpr)
	return ok && !slices.ContainsFunc(object.Items, func(item hclsyntax.ObjectConsItem) bool {
		call, ok := item.ValueExpr.(*hclsyntax.FunctionCallExpr)
		return !ok || call.Name != "env" && call.Name != "file"
	})
}

// template remembers a jobspec of a profile's own. It is read when the hub starts, so it cannot depend on who comes.
func (d *decoder) template(a attribute) {
	v, diags := a.expr.Value(&hcl.EvalContext{Functions: d.set.functions})
	if diags.HasErrors() || !v.IsWhollyKnown() || v.IsNull() || v.Type().FriendlyName() != "string" || v.AsString() == "" {
		d.add(a.expr.Range(), "The setting jobspec needs the name of a file as fixed text: it is read when the hub starts.")
		return
	}
	d.set.addTemplate(v.AsString())
}

var templatePattern = atMost(128, `^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// addTemplate gives a file a name that can be read: that of the file, unless another one has it.
func (s *Set) addTemplate(file string) {
	if s.templates.name(file) != "" {
		return
	}
	name := filepath.Base(file)
	if _, taken := s.templates[name]; taken || !templatePattern.MatchString(name) {
		name = slug(file)
	}
	s.templates[name] = file
}

// templates are files by the name that jobs know each by.
type templates map[string]string

func (t templates) name(file string) string {
	for name, f := range t {
		if f == file {
			return name
		}
	}
	return ""
}

// checkLabels looks at the names of volumes, tasks and devices.
func (d *decoder) checkLabels(l layer) {
	for _, b := range l.blocks {
		switch reflect.TypeFor[settings]().Field(b.field).Tag.Get("is") {
		case "name":
			if !namePattern.MatchString(b.label) {
				d.add(b.layer.where, "The name %s cannot be used: it needs 1 to 32 characters of a-z, 0-9, hyphen and underscore.", short(b.label))
			}
		case "device":
			if !devicePattern.MatchString(b.label) {
				d.add(b.layer.where, "The device %s cannot be used: write its kind as type, vendor/type or vendor/type/model, such as nvidia/gpu.", short(b.label))
			}
		}
	}
}

func (d *decoder) allow(b *hclsyntax.Block) *condition {
	layers, _ := d.split(b.Body, "a block allow", nil, reflect.TypeFor[rule]())
	if layers[0].empty() {
		d.add(b.TypeRange, "This block allow says nothing. Name users or groups in it, or give a condition with when.")
	}
	return &condition{layers[0]}
}

func (d *decoder) override(p *profile, b *hclsyntax.Block) {
	layers, _ := d.split(b.Body, "a block override", nil, reflect.TypeFor[rule](), reflect.TypeFor[settings]())
	if layers[0].empty() {
		d.add(b.TypeRange, "This block override does not say for whom it is. Name users or groups in it, or give a condition with when.")
	}
	d.addLayer(p, &condition{layers[0]}, layers[1])
}

// reserved are words of user_options that no option can have.
func reserved() []string { return []string{"profile", "next", "_xsrf"} }

func (d *decoder) option(p *profile, b *hclsyntax.Block) {
	o := &option{name: b.Labels[0], where: b.DefRange()}
	if !namePattern.MatchString(o.name) || slices.Contains(reserved(), o.name) {
		d.add(b.TypeRange, "The option's name %s cannot be used: it needs 1 to 32 characters of a-z, 0-9, hyphen and underscore, and must not be %s.", short(o.name), listed(reserved()))
	}
	layers, special := d.split(b.Body, "an option", []string{"allow", "set", "choice"}, reflect.TypeFor[optionHeading]())
	o.heading = layers[0]
	seen := map[string]bool{}
	for _, s := range special {
		if !d.labelled(s, s.Type == "choice") {
			continue
		}
		name := s.Type + "." + labelOf(s)
		if seen[name] {
			d.add(s.TypeRange, "There are two blocks %s%s here; write their content into one.", s.Type, quoted(labelOf(s)))
			continue
		}
		seen[name] = true
		switch s.Type {
		case "allow":
			o.allow = d.allow(s)
		case "set":
			o.set = d.effect(p, s)
		case "choice":
			o.choices = append(o.choices, d.choice(p, s))
		}
	}
	o.kind = d.kind(o)
	p.options = slices.DeleteFunc(p.options, func(old *option) bool { return old.name == o.name })
	p.options = append(p.options, o)
}

func (d *decoder) choice(p *profile, b *hclsyntax.Block) *choice {
	c := &choice{name: b.Labels[0], where: b.DefRange()}
	if c.name == "" || hasControl(c.name) || len(c.name) > maxText {
		d.add(b.TypeRange, "The choice's name %s cannot be used: it needs 1 to %d characters in one line.", short(c.name), maxText)
	}
	layers, special := d.split(b.Body, "a choice", []string{"allow", "set"}, reflect.TypeFor[choiceHeading]())
	c.heading = layers[0]
	for _, s := range special {
		switch {
		case !d.labelled(s, false):
		case s.Type == "allow":
			c.allow = d.allow(s)
		default:
			c.set = d.effect(p, s)
		}
	}
	return c
}

func (d *decoder) effect(p *profile, b *hclsyntax.Block) *layer {
	layers, _ := d.split(b.Body, "a block set", nil, reflect.TypeFor[settings]())
	scratch := profile{}
	d.addLayer(&scratch, nil, layers[0])
	p.images = p.images || scratch.images
	return &layers[0]
}

// kind is what an option is, as it says itself or as the rest of it shows.
func (d *decoder) kind(o *option) FieldKind {
	for _, a := range o.heading.attributes {
		if a.name != "type" {
			continue
		}
		v, diags := a.expr.Value(nil)
		if diags.HasErrors() || v.IsNull() || v.Type().FriendlyName() != "string" || !slices.Contains([]string{"choice", "number", "text", "bool"}, v.AsString()) {
			d.add(a.expr.Range(), "The type of an option is \"choice\", \"number\", \"text\" or \"bool\".")
			return FieldText
		}
		return d.fits(o, FieldKind(v.AsString()))
	}
	switch {
	case len(o.choices) > 0 || o.heading.has("choices"):
		return d.fits(o, FieldChoice)
	case o.heading.has("min") || o.heading.has("max"):
		return d.fits(o, FieldNumber)
	case o.heading.has("pattern"):
		return d.fits(o, FieldText)
	}
	d.add(o.where, "The option %q needs a type: \"choice\" with choices, \"number\" with min and max, \"text\" with a pattern, or \"bool\".", o.name)
	return FieldBool
}

// fits sees to it that an option has what its type needs.
func (d *decoder) fits(o *option, kind FieldKind) FieldKind {
	has := o.heading.has
	switch {
	case kind == FieldText && !has("pattern"):
		d.add(o.where, "The option %q needs a pattern: a regular expression that the whole text must match.", o.name)
	case kind == FieldChoice && len(o.choices) == 0 && !has("choices"):
		d.add(o.where, "The option %q needs choices: blocks choice \"NAME\" { … }, or a list choices = [\"a\", \"b\"].", o.name)
	case kind != FieldChoice && (len(o.choices) > 0 || has("choices")):
		d.add(o.where, "The option %q has choices, and its type is %q; only the type \"choice\" has them.", o.name, kind)
	case kind == FieldNumber && !has("max"):
		d.add(o.where, "The option %q needs max: the largest number that may be asked for. Without min, the smallest is 0.", o.name)
	case kind != FieldNumber && (has("min") || has("max") || has("step") || has("unit")):
		d.add(o.where, "The option %q has bounds, and its type is %q; only the type \"number\" has them.", o.name, kind)
	case kind != FieldText && has("pattern"):
		d.add(o.where, "The option %q has a pattern, and its type is %q; only the type \"text\" has one.", o.name, kind)
	}
	return kind
}

// Names are the profiles' names, in their order.
func (s *Set) Names() []string {
	if s == nil {
		return nil
	}
	var names []string
	for _, p := range s.profiles {
		names = append(names, p.name)
	}
	return names
}

// Templates are the files of the jobspecs that profiles begin with, by the name that [scheduler.Workload] calls each.
func (s *Set) Templates() map[string]string {
	if s == nil {
		return nil
	}
	return maps.Clone(s.templates)
}
