package github_test

import (
	"testing"

	"github.com/hashicorp/hcl/v2/hclsimple"

	"github.com/nomadhub/nomadhub/auth/github"
)

// The configuration's decoder and the type of the block must fit together.
func TestConfigDecodes(t *testing.T) {
	t.Parallel()
	var got github.Config
	if err := hclsimple.Decode("test.hcl", []byte("client_id = \"x\"\nurl = \"https://github.example.org\"\nscopes = [\"read:org\"]\nauth_params = { allow_signup = \"false\" }"), nil, &got); err != nil {
		t.Fatal(err)
	}
	if got.ClientID != "x" || got.URL != "https://github.example.org" || len(got.Scopes) != 1 || got.AuthParams["allow_signup"] != "false" {
		t.Errorf("%+v", got)
	}
}
