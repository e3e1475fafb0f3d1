package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are what expressions may call, besides env and file.
func functions() map[string]function.Function {
	return map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "max": stdlib.MaxFunc, "min": stdlib.MinFunc,
		"coalesce": stdlib.CoalesceFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc,
		"element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "keys": stdlib.KeysFunc, "length": stdlib.LengthFunc,
		"lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc, "range": stdlib.RangeFunc, "reverse": stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc,
		"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		"format": stdlib.FormatFunc, "join": stdlib.JoinFunc, "lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
		"regexreplace": stdlib.RegexReplaceFunc, "replace": stdlib.ReplaceFunc, "split": stdlib.SplitFunc, "strlen": stdlib.StrlenFunc,
		"substr": stdlib.SubstrFunc, "title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
		"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,
		"jsonencode": stdlib.JSONEncodeFunc, "tostring": stdlib.MakeToFunc(cty.String), "tonumber": stdlib.MakeToFunc(cty.Number),
		"can": tryfunc.CanFunc, "try": tryfunc.TryFunc, "slug": slugFunction(),
	}
}

// slugFunction makes a safe name of any text, so its result carries no mark. No two texts that anybody could find give one name.
func slugFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String, AllowMarked: true, AllowUnknown: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, _ := args[0].Unmark()
			if !text.IsKnown() {
				return cty.UnknownVal(cty.String), nil
			}
			return cty.StringVal(slug(text.AsString())), nil
		},
	})
}

// maxSlug leaves room for a prefix in a DNS label.
const maxSlug = 48

func slug(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == text && len(name) <= maxSlug && !hashed.MatchString(name) {
		return name
	}
	sum := sha256.Sum256([]byte(text))
	end := "-" + hex.EncodeToString(sum[:8])
	return strings.Trim(name[:min(len(name), maxSlug-len(end))], "-") + end
}

// hashed is how a slug ends that is not its text: a text that ends so by itself must not look like one.
var hashed = regexp.MustCompile(`-[0-9a-f]{16}$`)

// loadTime calls env and file once, while the configuration is loaded: what they give does not change afterwards, and no user decides which file
// is read. The functions that it returns give the same again.
func (p *problems) loadTime(bodies []*hclsyntax.Body, load *hcl.EvalContext) map[string]function.Function {
	if load == nil {
		return nil
	}
	seen := map[string]map[string]cty.Value{}
	for name := range load.Functions {
		seen[name] = map[string]cty.Value{}
	}
	for _, body := range bodies {
		_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
			if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && seen[call.Name] != nil && len(call.Args) == 1 {
				p.callNow(call, load, seen[call.Name])
			}
			return nil
		})
	}
	again := map[string]function.Function{}
	for name, results := range seen {
		again[name] = remembered(results)
	}
	return again
}

func (p *problems) callNow(call *hclsyntax.FunctionCallExpr, load *hcl.EvalContext, results map[string]cty.Value) {
	arg, diags := call.Args[0].Value(load)
	if diags.HasErrors() || !arg.IsKnown() || arg.IsNull() || arg.Type() != cty.String {
		p.add(call.NameRange, "%s() is called when the configuration is loaded, so it takes a fixed text.", call.Name)
		return
	}
	result, diags := call.Value(load)
	if diags.HasErrors() {
		p.add(call.NameRange, "%s", diags[0].Detail)
		return
	}
	results[arg.AsString()] = result
}

func remembered(results map[string]cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, ok := results[args[0].AsString()]
			if !ok {
				return cty.UnknownVal(cty.String), errors.New("it was not called when the configuration was loaded")
			}
			return v, nil
		},
	})
}
