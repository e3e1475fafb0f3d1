package config

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// TestQuote: HCL's reader takes back what was written, and its writer writes the same.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "plain", `a "quoted" \ one`, "lines\r\nand\ttabs", "${user.name}", "%{ if true }", "$${x}", "$", "a$", "%", "$ {", "$%{", "café", "日本", "\x00\x1b[0m", "\u200b", "\U000e0001",
	} {
		got := quote(s)
		if want := string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()); got != want {
			t.Errorf("%q is written as %s, and HCL's writer has %s", s, got, want)
		}
		expr, diags := hclsyntax.ParseExpression([]byte(got), "", hcl.InitialPos)
		if diags.HasErrors() {
			t.Errorf("%s: %v", got, diags)
			continue
		}
		if v, diags := expr.Value(nil); diags.HasErrors() || v.AsString() != s {
			t.Errorf("%s is read as %#v (%v)", got, v, diags)
		}
	}
}
