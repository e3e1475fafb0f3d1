package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
	"github.com/nomadhub/nomadhub/secret"
)

// TestClusterKeyRotation puts a new cookie key into Vault under a running hub: it signs from then on, and nobody is logged out.
func TestClusterKeyRotation(t *testing.T) {
	t.Parallel()
	c := newChild(t, plain.binary(t), "rotate", setup{notebook: standIn})
	c.start(childAllocation, "NOMADHUB_SECRETS_INTERVAL=200ms")
	before := login(t, c.URL, "ada")
	oldKey := signingKey(t, before, c.URL)

	keys, err := c.shared.Vault.Client.KVv2(c.shared.Vault.Mount).Get(t.Context(), "nomadhub/keys")
	if err != nil {
		t.Fatal(err)
	}
	newKey, value := secret.NewKey(time.Now().Add(time.Hour)) // other hubs on the stack have the present hour's
	values := keys.Data
	values[newKey] = value.Reveal()
	if err := hubjob.WriteSecret(t.Context(), c.shared, "keys", values); err != nil {
		t.Fatal(err)
	}
	await(t, "the new key signs", patience, func() error {
		if key := signingKey(t, login(t, c.URL, "ben"), c.URL); key != newKey {
			return fmt.Errorf("the key %s signs, not %s", key, newKey)
		}
		return nil
	})
	if oldKey == newKey {
		t.Fatal("the key was not a new one")
	}
	res, err := before.Get(c.URL + "/hub/home")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.HasSuffix(res.Request.URL.Path, "/hub/home") {
		t.Errorf("who logged in before the rotation gets %d at %s", res.StatusCode, res.Request.URL)
	}
}

// signingKey is the ID of the key that signed the browser's login cookie.
func signingKey(t *testing.T, c *http.Client, base string) string {
	t.Helper()
	at, err := url.Parse(base + "/hub/home")
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range c.Jar.Cookies(at) {
		if parts := strings.Split(cookie.Value, "."); cookie.Name == "jupyterhub-hub-login" && len(parts) == 3 {
			return parts[1]
		}
	}
	t.Fatal("the browser has no login cookie")
	return ""
}
