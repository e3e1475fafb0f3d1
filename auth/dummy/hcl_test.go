package dummy_test

import (
	"testing"

	"github.com/hashicorp/hcl/v2/hclsimple"

	"github.com/nomadhub/nomadhub/auth/dummy"
)

// The configuration's decoder and the type of the block must fit together, the hidden password included.
func TestConfigDecodes(t *testing.T) {
	t.Parallel()
	var got dummy.Config
	if err := hclsimple.Decode("test.hcl", []byte("label = \"Try it\"\npassword = \"sesame\""), nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.Label != "Try it" || got.Password.Reveal() != "sesame" {
		t.Errorf("label %q, password %q", got.Label, got.Password.Reveal())
	}
}
