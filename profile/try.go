package profile

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"
)

// try evaluates all of a profile for nobody in particular, so that mistakes are found when the configuration is loaded and not when somebody starts a
// server. What depends on the user is checked for its type.
func (s *Set) try(p *profile) problems {
	w := s.unknown()
	t := trial{profile: p, seen: map[string]bool{}}
	var e evaluator
	var h heading
	e.apply(p.heading, &h, w.context)
	t.take(&e)
	t.rule(p.allow, w)
	values := map[string]cty.Value{}
	for _, o := range p.options {
		values[o.name] = t.option(o, w)
	}
	w = w.with(values)
	if t.settings(w, nil, nil); len(t.problems) > 0 {
		return t.problems // what follows would say the same again
	}
	for _, l := range p.layers {
		if l.when != nil {
			t.rule(l.when, w)
			t.settings(w, &l.layer, nil)
		}
	}
	for _, o := range p.options {
		t.effects(o, w, values[o.name])
	}
	return t.problems
}

type trial struct {
	problems
	*profile
	seen map[string]bool
}

// take keeps each problem once.
func (t *trial) take(e *evaluator) {
	if e.invalid != nil {
		e.add(t.where, "%s", e.invalid.Error())
	}
	for _, err := range e.problems {
		if !t.seen[err.Error()] {
			t.seen[err.Error()] = true
			t.problems = append(t.problems, err)
		}
	}
}

func (t *trial) rule(c *condition, w someone) {
	if c != nil {
		var e evaluator
		e.apply(c.layer, &rule{}, w.context)
		t.take(&e)
	}
}

// settings tries what holds for everybody, and then one layer more.
func (t *trial) settings(w someone, more *layer, chosen func(*evaluator, *settings)) {
	var e evaluator
	var s settings
	for _, l := range t.layers {
		if l.when == nil {
			e.apply(l.layer, &s, w.context)
		}
	}
	if more != nil {
		e.apply(*more, &s, w.context)
	}
	if chosen != nil {
		chosen(&e, &s)
	}
	if s.Image.option != "" && !t.images {
		e.add(t.where, "The profile %q lets people write the name of an image, and has no allowed_images. Without them, nobody could use another image than the profile's own.", t.name)
	}
	if len(e.problems) == 0 && !e.uncertain {
		e.finish(s, t.profile, w)
	}
	t.take(&e)
}

func (t *trial) effects(o *option, w someone, value cty.Value) {
	try := func(l *layer, value cty.Value) {
		if l != nil {
			ctx := w.choosing(o.name, value)
			t.settings(w, nil, func(e *evaluator, s *settings) { e.apply(*l, s, ctx) })
		}
	}
	if o.kind == FieldBool {
		value = cty.True // else it has no effect
	}
	try(o.set, value)
	for _, c := range o.choices {
		t.rule(c.allow, w)
		try(c.set, cty.StringVal(c.name))
	}
}

// option tries how an option is shown, and returns what is known of its value.
func (t *trial) option(o *option, w someone) cty.Value {
	var e evaluator
	var h optionHeading
	e.apply(o.heading, &h, w.context)
	for _, c := range o.choices {
		e.apply(c.heading, &choiceHeading{}, w.context)
	}
	t.rule(o.allow, w)
	if !e.uncertain && len(e.problems) == 0 {
		if reason := o.wrongDefault(h); reason != "" {
			e.add(o.where, "The option %q %s.", o.name, reason)
		}
	}
	t.take(&e)
	switch o.kind {
	case FieldNumber:
		return cty.UnknownVal(cty.Number).RefineNotNull().Mark(taint{option: o.name})
	case FieldBool:
		return cty.UnknownVal(cty.Bool).RefineNotNull()
	case FieldText:
		return cty.UnknownVal(cty.String).RefineNotNull().Mark(taint{option: o.name, free: true})
	case FieldChoice:
	}
	return cty.UnknownVal(cty.String).RefineNotNull()
}

// wrongDefault says why a default cannot be one, or "".
func (o *option) wrongDefault(h optionHeading) string {
	if o.kind == FieldNumber && h.Max != nil && h.Min != nil && *h.Max < *h.Min {
		return "has a max below its min"
	}
	if h.Default == nil || *h.Default == "" {
		return ""
	}
	said := *h.Default
	switch o.kind {
	case FieldNumber:
		made := &offer{field: Field{Step: h.Step}}
		made.bound(h, said)
		if _, err := strconv.ParseFloat(said, 64); err != nil {
			return fmt.Sprintf("has the default %s, which is no number", short(said))
		}
		if _, reason := made.number(said); reason != "" {
			return fmt.Sprintf("has the default %s, which it would refuse: %s", said, reason)
		}
	case FieldBool:
		if _, ok := parseBool(said); !ok {
			return fmt.Sprintf("has the default %s, which is neither true nor false", short(said))
		}
	case FieldText:
		if pattern, err := compile(h.Pattern); err == nil && !pattern.MatchString(said) {
			return fmt.Sprintf("has the default %s, which does not match its pattern", short(said))
		}
	case FieldChoice:
		if !slices.Contains(h.Choices, said) && !slices.ContainsFunc(o.choices, func(c *choice) bool { return c.name == said }) {
			return fmt.Sprintf("has the default %s, which is not among its choices", short(said))
		}
	}
	return ""
}
