package profile

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Case is one thing that some user could start, for a check of the whole configuration.
type Case struct {
	Profile string
	For     string // whose: "" for somebody in no group, else "members of GROUP"
	With    string // which option is not at its default: "kernel = r", or ""
	Resolved
	// Err is a [*BrokenError] if it cannot be resolved.
	Err error
}

// String says which case it is.
func (c Case) String() string {
	text := strconv.Quote(c.Profile)
	if c.With != "" {
		text += " with " + c.With
	}
	if c.For != "" {
		text += " for " + c.For
	}
	return text
}

// Cases are what the profiles come to: for somebody in no group and for a member of each group that a rule names, with all options at their defaults
// and with each choice and switch in turn. Rules about who may have a profile are passed over. What comes to the same as an earlier case is left out.
func (s *Set) Cases() []Case {
	if s.empty() {
		return nil
	}
	var all []Case
	for _, p := range s.profiles {
		for _, group := range append([]string{""}, p.groups(s)...) {
			u := User{ID: "check", Name: "somebody"}
			whose := ""
			if group != "" {
				u.Groups, whose = []string{group}, "members of "+group
			}
			for _, c := range p.cases(s.known(u, Server{})) {
				c.For = whose
				if !slices.ContainsFunc(all, c.sameAs) {
					all = append(all, c)
				}
			}
		}
	}
	return all
}

func (p *profile) cases(w someone) []Case {
	t := p.table(w)
	resolve := func(with string, asked map[string]string) Case {
		r, err := t.resolve(asked)
		return Case{Profile: p.name, With: with, Resolved: r, Err: err}
	}
	all := []Case{resolve("", nil)}
	for _, o := range t.offers {
		if !o.allowed {
			continue
		}
		for _, value := range o.samples() {
			all = append(all, resolve(fmt.Sprintf("%s = %s", o.field.Name, value), map[string]string{o.field.Name: value}))
		}
	}
	return all
}

// samples are answers worth a look: every choice, both positions of a switch, both ends of a range.
func (o *offer) samples() []string {
	var values []string
	switch o.field.Kind {
	case FieldChoice:
		for _, c := range o.field.Choices {
			values = append(values, c.Name)
		}
	case FieldBool:
		values = []string{"true", "false"}
	case FieldNumber:
		values = []string{formatNumber(o.field.Min), formatNumber(o.field.Max)}
	case FieldText:
	}
	return values
}

func (c Case) sameAs(other Case) bool {
	return c.Profile == other.Profile && (c.Err == nil) == (other.Err == nil) && (c.Err == nil || c.Err.Error() == other.Err.Error()) &&
		reflect.DeepEqual(c.Workload, other.Workload) && reflect.DeepEqual(c.Resources, other.Resources) && reflect.DeepEqual(c.Volumes, other.Volumes)
}

// groups are those that the profile's rules name.
func (p *profile) groups(s *Set) []string {
	var found []string
	collect := func(c *condition) {
		if c == nil {
			return
		}
		for _, a := range c.layer.attributes {
			if a.name == "groups" {
				found = append(found, fixed(a, s)...)
			}
		}
	}
	collect(p.allow)
	for _, l := range p.layers {
		collect(l.when)
	}
	for _, o := range p.options {
		collect(o.allow)
		for _, c := range o.choices {
			collect(c.allow)
		}
	}
	slices.SortFunc(found, strings.Compare)
	return slices.Compact(found)
}

// fixed are the texts of a list that does not depend on anybody.
func fixed(a attribute, s *Set) []string {
	v, diags := a.expr.Value(&hcl.EvalContext{Functions: s.functions})
	if diags.HasErrors() || !v.IsWhollyKnown() || v.IsNull() || !v.CanIterateElements() {
		return nil
	}
	var texts []string
	for _, item := range v.Elements() {
		if item.Type() == cty.String && !item.IsNull() {
			texts = append(texts, item.AsString())
		}
	}
	return texts
}
