package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// BrokenError says that a profile cannot be used as the operator wrote it, for one user: an expression in it failed. It is no mistake of the person who
// chose it.
type BrokenError struct {
	Profile string
	Err     error // with file and line, for the operator
}

// Error is for the log: it has file and line.
func (e *BrokenError) Error() string { return fmt.Sprintf("profile %q: %v", e.Profile, e.Err) }

// Reason is a sentence for the person who chose the profile.
func (e *BrokenError) Reason() string {
	return fmt.Sprintf("The profile %q has a mistake in the hub's configuration and cannot be used. Tell an administrator of this hub, who finds the mistake in its log.", e.Profile)
}

func (e *BrokenError) Unwrap() error { return e.Err }

// empty tells whether there are no profiles: then everything is as it is without them.
func (s *Set) empty() bool { return s == nil || len(s.profiles) == 0 }

// Forms are the profiles that a user may have, in the configuration's order. It is empty if there are none.
func (s *Set) Forms(u User, srv Server) []Form {
	if s.empty() {
		return nil
	}
	w := s.known(u, srv)
	open, chosen := s.open(w)
	var forms []Form
	for _, p := range open {
		forms = append(forms, p.form(w, p == chosen))
	}
	return forms
}

// open are the profiles that the user may have, and the one that holds if they say nothing.
func (s *Set) open(w someone) (open []*profile, standard *profile) {
	for _, p := range s.profiles {
		if !w.may(p.allow) {
			continue
		}
		open = append(open, p)
		if standard == nil && p.headed(w).Default {
			standard = p
		}
	}
	if standard == nil && len(open) > 0 {
		standard = open[0]
	}
	return open, standard
}

// headed is how the profile is shown to the user; what cannot be evaluated is left out.
func (p *profile) headed(w someone) heading {
	var e evaluator
	var h heading
	e.apply(p.heading, &h, w.context)
	return h
}

func (p *profile) form(w someone, standard bool) Form {
	h := p.headed(w)
	f := Form{Name: p.name, DisplayName: h.DisplayName, Description: h.Description, Icon: h.Icon, Default: standard}
	if f.DisplayName == "" {
		f.DisplayName = p.name
	}
	t := p.table(w)
	for _, o := range t.offers {
		if o.allowed {
			f.Fields = append(f.Fields, o.field)
		}
	}
	if r, err := t.resolve(nil); err == nil { // else whoever starts it is told
		f.Resources, f.Image, f.Pool = r.Resources, r.Workload.Image, r.Workload.Placement.NodePool
	}
	return f
}

// table is one profile laid out for one user.
type table struct {
	*profile
	who    someone
	offers []*offer
	wrong  problems
	before *settings // see base
}

func (p *profile) table(w someone) *table {
	t := &table{profile: p, who: w}
	t.offers, t.wrong = p.offers(w)
	if p.images {
		if o := p.offerImage(*t.base()); o != nil {
			t.offers = append(t.offers, o)
		}
	}
	return t
}

// base are the settings before any option has its effect. Few profiles need them.
func (t *table) base() *settings {
	if t.before == nil {
		var e evaluator
		s := t.settings(&e, t.who.with(t.values(nil)))
		t.before = &s
	}
	return t.before
}

// values are all options as expressions see them.
func (t *table) values(answers map[string]answer) map[string]cty.Value {
	values := map[string]cty.Value{}
	for _, o := range t.offers {
		a, said := answers[o.field.Name]
		if !said {
			a = o.standing()
		}
		values[o.field.Name] = a.value
	}
	return values
}

// settings applies the profile's layers.
func (t *table) settings(e *evaluator, w someone) settings {
	var s settings
	for _, l := range t.layers {
		yes, wrong := w.names(l.when)
		e.problems = append(e.problems, wrong...)
		if yes {
			e.apply(l.layer, &s, w.context)
		}
	}
	return s
}

// Resolve checks what a user chose and says what it comes to. The options are a JSON object with the profile's name under "profile" and each option
// under its own name; what is not said has its default. As HTML forms and JupyterHub send them, values may be lists of one text each. It fails with an
// [*InvalidError] if the person made a mistake, or has no right to it, and with a [*BrokenError] if the operator did.
//
// Without profiles, the result is the zero value with the options as they came.
func (s *Set) Resolve(u User, srv Server, options json.RawMessage) (Resolved, error) {
	if s.empty() {
		return Resolved{Options: options}, nil
	}
	asked, invalid := parseOptions(options)
	if invalid != nil {
		return Resolved{}, invalid
	}
	w := s.known(u, srv)
	p, invalid := s.choose(w, asked)
	if invalid != nil {
		return Resolved{}, invalid
	}
	asked = p.ownKeys(asked)
	return p.table(w).resolve(asked)
}

// choose finds the profile that was asked for among those that the user may have. One that they may not have does not exist for them.
func (s *Set) choose(w someone, asked map[string]string) (*profile, *InvalidError) {
	open, standard := s.open(w)
	if standard == nil {
		return nil, &InvalidError{Field: "profile", Reason: "No profile is open to you. Ask an administrator of this hub for one."}
	}
	name, said := asked["profile"]
	if !said || name == "" {
		return standard, nil
	}
	var names []string
	for _, p := range open {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return nil, &InvalidError{Field: "profile", Reason: fmt.Sprintf("There is no profile %s for you; there are %s.", short(name), listed(names))}
}

// ownKeys takes the keys of this profile out of a form that has the options of all profiles: profile-option-PROFILE--OPTION, as KubeSpawner's has.
func (p *profile) ownKeys(asked map[string]string) map[string]string {
	own := map[string]string{}
	for key, value := range asked {
		rest, prefixed := strings.CutPrefix(key, "profile-option-")
		if !prefixed {
			own[key] = value
		} else if name, mine := strings.CutPrefix(rest, p.name+"--"); mine {
			own[name] = value
		}
	}
	return own
}

// effect is what one answer does.
type effect struct {
	layer  layer
	option string
	ctx    *hcl.EvalContext
}

func (t *table) resolve(asked map[string]string) (Resolved, error) {
	answers, invalid := t.read(asked)
	if invalid != nil {
		return Resolved{}, invalid
	}
	w := t.who.with(t.values(answers))
	e := evaluator{problems: slices.Clone(t.wrong)}
	s := t.settings(&e, w)
	for _, f := range t.effects(answers, w) {
		e.option = f.option
		e.apply(f.layer, &s, f.ctx)
	}
	if picked, ok := answers[imageOption]; ok && picked.text != "" && t.picksImage() {
		s.Image = image{name: picked.text, option: imageOption}
	}
	if reason := t.wrongImage(s); e.invalid == nil && reason != nil {
		e.invalid = reason
	}
	if e.invalid == nil && len(e.problems) == 0 {
		r := e.finish(s, t.profile, t.who)
		if e.invalid == nil && len(e.problems) == 0 {
			r.DisplayName = t.headed(t.who).DisplayName
			if r.DisplayName == "" {
				r.DisplayName = t.name
			}
			r.Options = t.canonical(answers)
			return r, nil
		}
		if free := t.written(answers); free != "" {
			e.refuse(free, "With this text the server could not run. Choose another one.")
		}
	}
	if e.invalid != nil {
		return Resolved{}, e.invalid
	}
	return Resolved{}, &BrokenError{Profile: t.name, Err: e.join()}
}

// read checks each thing that was asked for.
func (t *table) read(asked map[string]string) (map[string]answer, *InvalidError) {
	answers := map[string]answer{}
	known := map[string]bool{"profile": true}
	for _, o := range t.offers {
		if !o.allowed {
			continue
		}
		name := o.field.Name
		known[name] = true
		answers[name] = o.standing()
		text, said := asked[name]
		if !said || text == "" && o.field.Kind != FieldText {
			continue
		}
		a, invalid := o.read(text)
		if invalid != nil {
			return nil, invalid
		}
		if a.text != answers[name].text {
			answers[name] = a
		}
	}
	if name, said := asked[imageOption]; said && !known[imageOption] {
		known[imageOption] = true
		if name != "" && name != t.base().Image.name {
			return nil, &InvalidError{Field: imageOption, Reason: fmt.Sprintf("The image %s is not allowed here: the profile %q runs its own image only.", short(name), t.name)}
		}
	}
	for name := range asked {
		if !known[name] {
			return nil, &InvalidError{Field: name, Reason: fmt.Sprintf("The profile %q has no such option for you.", t.name)}
		}
	}
	return answers, nil
}

// written is an option into which the person wrote a text of their own, or "".
func (t *table) written(answers map[string]answer) string {
	for _, o := range t.offers {
		a, said := answers[o.field.Name]
		if said && o.field.Kind == FieldText && a.text != "" && a.text != o.standing().text {
			return o.field.Name
		}
	}
	return ""
}

// effects are what the answers do, in the order of the options. What the user may not set has none.
func (t *table) effects(answers map[string]answer, w someone) []effect {
	var all []effect
	for _, o := range t.offers {
		a, said := answers[o.field.Name]
		if o.option == nil || !said || !o.used(a) {
			continue
		}
		ctx := w.choosing(o.field.Name, a.value)
		if o.option.set != nil {
			all = append(all, effect{*o.option.set, o.field.Name, ctx})
		}
		if c := o.choices[a.text]; c != nil && c.set != nil {
			all = append(all, effect{*c.set, o.field.Name, ctx})
		}
	}
	return all
}

// picksImage tells whether people choose among allowed_images by the option that comes with them.
func (t *table) picksImage() bool {
	return slices.ContainsFunc(t.offers, func(o *offer) bool { return o.option == nil && o.field.Name == imageOption })
}

// wrongImage refuses an image that came of a person's text and that the operator did not allow. Without a list, only the configured one is.
func (t *table) wrongImage(s settings) *InvalidError {
	if s.Image.option == "" || t.base().Image.option == "" && s.Image.name == t.base().Image.name || s.allows(s.Image.name) {
		return nil
	}
	reason := fmt.Sprintf("The image %s is not allowed here.", short(s.Image.name))
	if len(s.AllowedImages) > 0 {
		reason += " Allowed are " + listed(s.AllowedImages) + "."
	}
	return &InvalidError{Field: s.Image.option, Reason: reason}
}

// canonical is what was chosen in its one form. The profile's own image is left out, so that who chose nothing gets its next version as well.
func (t *table) canonical(answers map[string]answer) json.RawMessage {
	out := map[string]any{"profile": t.name}
	for name, a := range answers {
		out[name] = a.canonical
	}
	if t.picksImage() && (out[imageOption] == t.base().Image.name || out[imageOption] == "") {
		delete(out, imageOption)
	}
	b, _ := json.Marshal(out) // texts, finite numbers and truth values always encode
	return b
}

// maxOptions bounds what may be sent as options, in bytes.
const maxOptions = 64 << 10

// parseOptions reads options of any shape that clients send, as one text for each key.
func parseOptions(raw json.RawMessage) (map[string]string, *InvalidError) {
	asked := map[string]string{}
	if len(raw) == 0 {
		return asked, nil
	}
	var fields map[string]json.RawMessage
	if len(raw) > maxOptions {
		return nil, &InvalidError{Reason: fmt.Sprintf("The options are too long: at most %d bytes are possible.", maxOptions)}
	}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, &InvalidError{Reason: "The options must be a JSON object with the profile's name and its options."}
	}
	for key, value := range fields {
		text, said, err := scalar(value, true)
		if err != nil {
			return nil, &InvalidError{Field: key, Reason: err.Error()}
		}
		if said {
			asked[key] = text
		}
	}
	return asked, nil
}

// scalar reads a text, a number or a truth value, or a list of one.
func scalar(raw json.RawMessage, list bool) (text string, said bool, err error) {
	var v any
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		return "", false, errors.New("The value must be a text, a number, or true or false, and is an object.") //nolint:staticcheck,revive // a sentence for a person
	}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "[") {
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil || !list || len(items) > 1 {
			return "", false, errors.New("The value must be one text, number, or true or false, and is a list.") //nolint:staticcheck,revive // as above
		}
		if len(items) == 0 {
			return "", false, nil
		}
		return scalar(items[0], false)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", false, errors.New("The value is not JSON.") //nolint:staticcheck,revive // as above
	}
	switch v := v.(type) {
	case string:
		return cty.NormalizeString(v), true, nil // as expressions see it; see [Set.known]
	case bool:
		return fmt.Sprint(v), true, nil
	case float64:
		return formatNumber(v), true, nil
	}
	return "", false, nil // null
}
