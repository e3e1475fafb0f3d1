package profile

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// someone is who expressions speak of.
type someone struct {
	user    User
	nobody  bool // while a configuration is checked: whoever it will be
	context *hcl.EvalContext
}

// known is one user and server.
func (s *Set) known(u User, srv Server) someone {
	mark := func(what, text string) cty.Value {
		text = cty.NormalizeString(text) // as expressions see it: some characters become others, such as a Greek question mark a semicolon
		return cty.StringVal(text).Mark(taint{what: what, text: text})
	}
	groups := cty.ListValEmpty(cty.String)
	if len(u.Groups) > 0 {
		var names []cty.Value
		for _, g := range u.Groups {
			names = append(names, mark("group name", g))
		}
		groups = cty.ListVal(names)
	}
	return someone{user: u, context: &hcl.EvalContext{Functions: s.functions, Variables: map[string]cty.Value{
		"user": cty.ObjectVal(map[string]cty.Value{
			"id": cty.StringVal(u.ID), "name": mark("user name", u.Name), "admin": cty.BoolVal(u.Admin), "groups": groups,
		}),
		"server": cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal(srv.ID), "name": mark("server name", srv.Name)}),
	}}}
}

// unknown is whoever it will be: types are known, values are not.
func (s *Set) unknown() someone {
	text := func(what string) cty.Value { return cty.UnknownVal(cty.String).RefineNotNull().Mark(taint{what: what}) }
	return someone{nobody: true, context: &hcl.EvalContext{Functions: s.functions, Variables: map[string]cty.Value{
		"user": cty.ObjectVal(map[string]cty.Value{
			"id": cty.UnknownVal(cty.String).RefineNotNull(), "name": text("user name"), "admin": cty.UnknownVal(cty.Bool).RefineNotNull(),
			"groups": cty.UnknownVal(cty.List(cty.String)).RefineNotNull(),
		}),
		"server": cty.ObjectVal(map[string]cty.Value{"id": cty.UnknownVal(cty.String).RefineNotNull(), "name": text("server name")}),
	}}}
}

// with adds what was chosen, as "options", for the settings of the profile.
func (w someone) with(options map[string]cty.Value) someone {
	w.context = w.context.NewChild()
	w.context.Variables = map[string]cty.Value{"options": cty.ObjectVal(options)}
	return w
}

// choosing adds one option, as "option", for its own effect.
func (w someone) choosing(name string, value cty.Value) *hcl.EvalContext {
	ctx := w.context.NewChild()
	ctx.Variables = map[string]cty.Value{"option": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(name), "value": value})}
	return ctx
}

// names tells whether a rule names the user. One that cannot be evaluated names nobody.
func (w someone) names(c *condition) (bool, problems) {
	if c == nil {
		return true, nil
	}
	var e evaluator
	var r rule
	e.apply(c.layer, &r, w.context)
	if len(e.problems) > 0 || e.invalid != nil {
		return false, e.problems
	}
	inGroup := slices.ContainsFunc(w.user.Groups, func(g string) bool { return slices.Contains(r.Groups, g) })
	return r.When || inGroup || slices.Contains(r.Users, w.user.Name), nil
}

// may is names for rules about who may have something: a mistake in one locks out and lets nobody in.
func (w someone) may(c *condition) bool {
	yes, wrong := w.names(c)
	return yes && len(wrong) == 0
}
