package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

// TestConsentForACustomScope: who holds a custom scope by a role is asked about it in the words of the configuration; who does not is not asked, and gives none.
func TestConsentForACustomScope(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	policy, err := scope.NewPolicy(
		[]scope.Role{{Name: "grader", Scopes: []string{"custom:grades:read"}, Users: []string{"alice"}}},
		[]scope.Custom{{Name: "custom:grades:read", Description: "Read grades."}},
	)
	check(t, err)
	b.hub.SetRoles(policy)
	check(t, b.hub.SetServices(t.Context(), []hub.ConfiguredService{{Service: hub.Service{
		Name: "grader", URL: "http://127.0.0.1:1", AllowedScopes: []string{"custom:grades:read", "access:services!service=grader"},
	}}}))
	q := url.Values{"client_id": {"service-grader"}, "response_type": {"code"}, "state": {"s"}}
	address := "/hub/api/oauth2/authorize?" + q.Encode()
	b.loggedIn("bob").get(address).want(http.StatusForbidden) // nobody gave him the service
	policy, err = scope.NewPolicy([]scope.Role{
		{Name: "grader", Scopes: []string{"custom:grades:read"}, Users: []string{"alice"}},
		{Name: scope.RoleUser, Scopes: []string{"self", "access:services!service=grader"}},
	}, []scope.Custom{{Name: "custom:grades:read", Description: "Read grades."}})
	check(t, err)
	b.hub.SetRoles(policy)
	b.loggedIn("alice").get(address).want(http.StatusOK).says("Act for you: Read grades. (custom:grades:read)")
	if text := b.loggedIn("bob").get(address).want(http.StatusOK).text(); strings.Contains(text, "grades") {
		t.Errorf("bob is asked about what he does not have: %s", text)
	}
}

// TestTheListOfUsersShowsNoMoreThanScopesAllow: it has servers and activity in it, for which to list names is not enough.
func TestTheListOfUsersShowsNoMoreThanScopesAllow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	deputy := b.loggedIn("deputy")
	for _, tt := range []struct {
		scopes string
		want   int
	}{
		{"self", http.StatusForbidden},
		{"admin-ui", http.StatusForbidden},
		{"admin-ui list:users", http.StatusForbidden},
		{"admin-ui list:users read:users", http.StatusForbidden},
		{"admin-ui list:users!group=class read:users!group=class read:servers!group=class", http.StatusForbidden},
		{"list:users read:users read:servers", http.StatusForbidden},
		{"admin-ui list:users read:users read:servers", http.StatusOK},
	} {
		policy, err := scope.NewPolicy([]scope.Role{{Name: "deputy", Scopes: strings.Fields(tt.scopes), Users: []string{"deputy"}}}, nil)
		check(t, err)
		b.hub.SetRoles(policy)
		deputy.get("/hub/admin").want(tt.want)
	}
}
