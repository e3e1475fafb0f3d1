package oidc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2/hclsimple"

	"github.com/nomadhub/nomadhub/auth/oidc"
)

// The configuration's decoder and the type of the block must fit together.
func TestConfigDecodes(t *testing.T) {
	t.Parallel()
	var got oidc.Config
	err := hclsimple.Decode("test.hcl", []byte(`
		issuer       = "https://login.example.org/realms/lab"
		client_id    = "hub"
		secret       = "oauth/lab"
		scopes       = ["openid", "groups"]
		groups_claim = "realm_access.roles"
		admin_groups = ["staff"]
		userinfo     = true
		auth_params  = { prompt = "login" }
	`), nil, &got)
	if err != nil {
		t.Fatal(err)
	}
	want := oidc.Config{
		Issuer: "https://login.example.org/realms/lab", ClientID: "hub", Secret: "oauth/lab", Scopes: []string{"openid", "groups"},
		GroupsClaim: "realm_access.roles", AdminGroups: []string{"staff"}, UserInfo: true, AuthParams: map[string]string{"prompt": "login"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := hclsimple.Decode("test.hcl", []byte(`client_id = "hub"`), nil, &oidc.Config{}); err == nil {
		t.Error("an issuer is not required")
	}
	if err := hclsimple.Decode("test.hcl", []byte("issuer = \"x\"\nclient_id = \"hub\"\nadmin_group = \"x\""), nil, &oidc.Config{}); err == nil {
		t.Error("an unknown key is accepted")
	}
}
