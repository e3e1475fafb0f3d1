package profile

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// taint marks a value that a person had a say in. The mark goes with the value through all expressions, so that it is still known where the
// text ends up.
type taint struct {
	option string // the option that it is the value of, or ""
	what   string // "user name", for sentences
	text   string // the text itself; "" if it is none, such as a number
	free   bool   // whether the person may write what they like, within the option's pattern
}

// taints are all marks on a value and in it.
func taints(v cty.Value) []taint {
	var found []taint
	for t := range cty.ValueMarksOfTypeDeep[taint](v) {
		found = append(found, t)
	}
	slices.SortFunc(found, func(a, b taint) int { return strings.Compare(a.option+a.what, b.option+b.what) })
	return found
}

// checkText refuses texts of persons that would mean something else than themselves where they go. By the tag "text":
//
//   - literal: they come out as they are, whatever they are; nothing is refused.
//   - argument: one argument of a command or a value beside it. Nothing that Nomad replaces; and no character that means something to a shell
//     where the text was put together with other text.
//   - operator: as the next, and an option's free text is refused: it has no business to decide this. A choice of the operator's texts may.
//   - else: nothing that Nomad replaces, and put together with other text no character that could separate parts (of a path, of a volume's three).
//
// A text that was put together and has such a character is refused even if the operator wrote the character: which of the two it was
// cannot be told any more.
func (e *evaluator) checkText(to target, v cty.Value) bool {
	if to.text == "literal" || !v.ContainsMarked() {
		return true
	}
	return e.checkMarked(to, v, nil)
}

func (e *evaluator) checkMarked(to target, v cty.Value, from []taint) bool {
	plain, _ := v.Unmark()
	for t := range cty.ValueMarksOfType[taint](v) {
		from = append(slices.Clip(from), t)
	}
	for _, t := range from {
		if t.free && to.text == "operator" {
			e.add(to.at, "The setting %s takes no free text of the option %q. Let people choose among texts of yours, with choices.", to.name, t.option)
			return false
		}
	}
	switch {
	case !plain.IsKnown() || plain.IsNull():
		return true
	case plain.Type() == cty.String:
		return e.checkString(to, plain.AsString(), from)
	case plain.CanIterateElements():
		for key, item := range plain.Elements() {
			if key.Type() == cty.String && !e.checkMarked(to, key, from) || !e.checkMarked(to, item, from) {
				return false
			}
		}
	}
	return true
}

func (e *evaluator) checkString(to target, result string, from []taint) bool {
	for _, t := range from {
		if reason := t.harm(to.text, result); reason != "" {
			what := "The text"
			if t.option == "" {
				what = "The " + t.what
			}
			e.refuse(t.option, fmt.Sprintf("%s %s cannot be used in a server's %s: %s.", what, short(t.text), to.name, reason))
			return false
		}
	}
	return true
}

// harm says why a person's text must not be part of a result, or "".
func (t taint) harm(class, result string) string {
	switch {
	case t.text == "":
	case strings.ContainsAny(t.text, "$%{") && replaced(result):
		return "it would have Nomad put something else in its place (${, %{ or {{)"
	case t.text == result:
	case class != "argument" && strings.Contains(t.text, "..") && strings.Contains(result, ".."):
		return "it has two dots in a row"
	default:
		for _, r := range t.text {
			if !harmless(r, class) && strings.ContainsRune(result, r) {
				return fmt.Sprintf("the character %q could mean something else there", r)
			}
		}
	}
	return ""
}

// replaced tells whether Nomad or its templates would replace a part of the text.
func replaced(s string) bool {
	return strings.Contains(s, "${") || strings.Contains(s, "%{") || strings.Contains(s, "{{")
}

func harmless(r rune, class string) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_.@+-", r) || class == "argument" && strings.ContainsRune("%=:,/", r)
}

// plainCondition keeps the marks of a condition from its branches: what somebody's groups decided has no text of theirs in it.
type plainCondition struct{ hclsyntax.Expression }

// Value implements hclsyntax.Expression.
func (p plainCondition) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := p.Expression.Value(ctx)
	plain, _ := v.UnmarkDeep()
	return plain, diags
}

// unmarkConditions does that to all conditions in a body.
func unmarkConditions(body *hclsyntax.Body) {
	var found []*hclsyntax.Expression
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		switch x := n.(type) {
		case *hclsyntax.ConditionalExpr:
			found = append(found, &x.Condition)
		case *hclsyntax.ForExpr:
			if x.CondExpr != nil {
				found = append(found, &x.CondExpr)
			}
		}
		return nil
	})
	for _, condition := range found {
		*condition = plainCondition{&hclsyntax.ParenthesesExpr{Expression: *condition, SrcRange: (*condition).Range()}} // so that walks see what is within
	}
}
