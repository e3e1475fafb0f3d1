package profile

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
)

// maxText bounds a text that a person writes into an option, in bytes.
const maxText = 1000

// numberPattern keeps out what Go's parser reads beside decimal numbers.
var numberPattern = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,9})?$`)

// offer is an option as one user may set it.
type offer struct {
	field   Field
	option  *option // nil for the image that every profile with allowed_images offers
	choices map[string]*choice
	pattern *regexp.Regexp
	allowed bool // whether the user may set it; else its default stands in expressions, and it has no effect
}

// offers evaluates all options of a profile for one user.
func (p *profile) offers(w someone) ([]*offer, problems) {
	var all []*offer
	var wrong problems
	for _, o := range p.options {
		made, bad := o.offer(w)
		wrong = append(wrong, bad...)
		all = append(all, made)
	}
	return all, wrong
}

func (o *option) offer(w someone) (*offer, problems) {
	var e evaluator
	var h optionHeading
	e.apply(o.heading, &h, w.context)
	made := &offer{option: o, choices: map[string]*choice{}, allowed: w.may(o.allow)}
	made.field = Field{
		Name: o.name, DisplayName: cmp.Or(h.DisplayName, o.name), Description: h.Description, Kind: o.kind,
		Step: h.Step, Unit: h.Unit, Pattern: h.Pattern, Hint: h.Hint,
	}
	said := ""
	if h.Default != nil {
		said = *h.Default
	}
	switch o.kind {
	case FieldChoice:
		e.problems = append(e.problems, made.addChoices(h.Choices, said, w)...)
	case FieldNumber:
		made.bound(h, said)
	case FieldBool:
		yes, _ := parseBool(said)
		made.field.Default = strconv.FormatBool(yes)
	case FieldText:
		made.field.Default = said
		made.pattern, _ = compile(h.Pattern) // the evaluator has refused what is none
	}
	made.allowed = made.allowed && len(e.problems) == 0
	return made, e.problems
}

// addChoices keeps those that the user may have. Without any, there is nothing to choose.
func (o *offer) addChoices(names []string, said string, w someone) problems {
	var wrong problems
	add := func(c Choice, from *choice) {
		if _, twice := o.choices[c.Name]; !twice {
			o.choices[c.Name] = from
			o.field.Choices = append(o.field.Choices, c)
		}
	}
	for _, name := range names {
		add(Choice{Name: name, DisplayName: name}, nil)
	}
	marked := ""
	for _, c := range o.option.choices {
		var e evaluator
		var h choiceHeading
		e.apply(c.heading, &h, w.context)
		wrong = append(wrong, e.problems...)
		if len(e.problems) == 0 && w.may(c.allow) {
			add(Choice{Name: c.name, DisplayName: cmp.Or(h.DisplayName, c.name), Description: h.Description}, c)
			if h.Default && marked == "" {
				marked = c.name
			}
		}
	}
	if len(o.field.Choices) == 0 {
		o.allowed = false
		return wrong
	}
	for _, name := range []string{said, marked, o.field.Choices[0].Name} {
		if _, may := o.choices[name]; may {
			o.field.Default = name
			break
		}
	}
	return wrong
}

func (o *offer) bound(h optionHeading, said string) {
	if h.Min != nil {
		o.field.Min = *h.Min
	}
	if h.Max != nil {
		o.field.Max = *h.Max
	}
	n, err := strconv.ParseFloat(said, 64)
	if err != nil || n < o.field.Min || n > o.field.Max {
		n = o.field.Min
	}
	o.field.Default = formatNumber(n)
}

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "on", "yes", "1":
		return true, true
	case "false", "off", "no", "0":
		return false, true
	}
	return false, false
}

// answer is what was chosen for one option.
type answer struct {
	canonical any // as it stands in the canonical options
	value     cty.Value
	text      string
}

// used tells whether the option has its effect.
func (o *offer) used(a answer) bool {
	switch o.field.Kind {
	case FieldBool:
		return a.canonical == true
	case FieldText:
		return a.text != ""
	case FieldChoice, FieldNumber:
	}
	return true
}

// read checks what a person said; "" with said false is the default.
func (o *offer) read(text string) (answer, *InvalidError) {
	wrong := func(format string, args ...any) (answer, *InvalidError) {
		return answer{}, &InvalidError{Field: o.field.Name, Reason: fmt.Sprintf(format, args...)}
	}
	switch o.field.Kind {
	case FieldBool:
		b, ok := parseBool(text)
		if !ok {
			return wrong("%s is neither true nor false.", short(text))
		}
		return answer{b, cty.BoolVal(b), strconv.FormatBool(b)}, nil
	case FieldNumber:
		n, reason := o.number(text)
		if reason != "" {
			return wrong("%s", reason)
		}
		return answer{n, cty.NumberFloatVal(n).Mark(taint{option: o.field.Name}), formatNumber(n)}, nil
	case FieldChoice:
		if _, ok := o.choices[text]; !ok {
			return wrong("There is no choice %s; there are %s.", short(text), o.names())
		}
		return answer{text, cty.StringVal(text), text}, nil
	case FieldText:
		if reason := o.wrongText(text); reason != "" {
			return wrong("%s", reason)
		}
	}
	return answer{text, cty.StringVal(text).Mark(taint{option: o.field.Name, text: text, free: true}), text}, nil
}

func (o *offer) names() string {
	var names []string
	for _, c := range o.field.Choices {
		names = append(names, c.Name)
	}
	return listed(names)
}

func (o *offer) number(text string) (float64, string) {
	f := o.field
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || !numberPattern.MatchString(text):
		return 0, short(text) + " is not a number."
	case n < f.Min || n > f.Max:
		return 0, fmt.Sprintf("It must be from %s to %s%s.", formatNumber(f.Min), formatNumber(f.Max), unit(f.Unit))
	}
	if f.Step > 0 {
		if steps := (n - f.Min) / f.Step; math.Abs(steps-math.Round(steps)) > 1e-6 {
			return 0, fmt.Sprintf("It goes in steps of %s from %s.", formatNumber(f.Step), formatNumber(f.Min))
		}
	}
	return n, ""
}

func unit(u string) string {
	if u == "" {
		return ""
	}
	return " " + u
}

func (o *offer) wrongText(text string) string {
	switch {
	case text == "":
		return "" // the option is not used
	case len(text) > maxText:
		return fmt.Sprintf("The text is too long: at most %d bytes are possible.", maxText)
	case hasControl(text):
		return "The text has characters that cannot be used, such as a line break."
	case o.pattern == nil || !o.pattern.MatchString(text):
		if o.field.Hint != "" {
			return fmt.Sprintf("The text %s cannot be used: %s", short(text), o.field.Hint)
		}
		return fmt.Sprintf("The text %s cannot be used: it must match %s.", short(text), o.field.Pattern)
	}
	return ""
}

// hasControl finds what is no plain text in one line, characters that turn the direction of writing included.
func hasControl(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
	})
}

// standing is the default, as an answer. It is the operator's text.
func (o *offer) standing() answer {
	switch o.field.Kind {
	case FieldBool:
		b, _ := parseBool(o.field.Default)
		return answer{b, cty.BoolVal(b), o.field.Default}
	case FieldNumber:
		n, _ := strconv.ParseFloat(o.field.Default, 64)
		return answer{n, cty.NumberFloatVal(n), o.field.Default}
	case FieldChoice, FieldText:
	}
	return answer{o.field.Default, cty.StringVal(o.field.Default), o.field.Default}
}

// imageOption is the name under which people choose among allowed_images.
const imageOption = "image"

// offerImage offers the images that a profile allows, unless it has an option of its own for that.
func (p *profile) offerImage(base settings) *offer {
	own := slices.ContainsFunc(p.options, func(o *option) bool { return o.name == imageOption })
	if own || len(base.AllowedImages) == 0 {
		return nil
	}
	o := &offer{allowed: true, choices: map[string]*choice{}, field: Field{Name: imageOption, DisplayName: "Image", Kind: FieldChoice, Default: base.Image.name}}
	globs := slices.ContainsFunc(base.AllowedImages, func(g string) bool { return strings.Contains(g, "*") })
	if !globs {
		for _, name := range append([]string{base.Image.name}, base.AllowedImages...) {
			if _, twice := o.choices[name]; !twice && name != "" {
				o.choices[name] = nil
				o.field.Choices = append(o.field.Choices, Choice{Name: name, DisplayName: name})
			}
		}
		o.field.Default = cmp.Or(o.field.Default, o.field.Choices[0].Name)
		return o
	}
	o.field.Kind, o.field.Default = FieldText, ""
	o.field.Pattern = imageAlternatives(append([]string{base.Image.name}, base.AllowedImages...))
	o.field.Hint = "Allowed are " + listed(base.AllowedImages) + ". Leave it empty for " + cmp.Or(base.Image.name, "the usual one") + "."
	o.pattern, _ = compile(o.field.Pattern) // made of quoted parts
	return o
}

// imageAlternatives is a regular expression for all of the patterns: * is any text without a slash, ** is any text.
func imageAlternatives(globs []string) string {
	var parts []string
	for _, g := range globs {
		if g != "" {
			quoted := strings.ReplaceAll(regexp.QuoteMeta(g), `\*\*`, `[A-Za-z0-9._:/@-]*`)
			parts = append(parts, strings.ReplaceAll(quoted, `\*`, `[A-Za-z0-9._:@-]*`))
		}
	}
	return strings.Join(parts, "|")
}

// allows tells whether an image that a person named may run.
func (s *settings) allows(name string) bool {
	pattern, err := compile(imageAlternatives(s.AllowedImages))
	return err == nil && len(s.AllowedImages) > 0 && imagePattern.MatchString(name) && pattern.MatchString(name)
}
