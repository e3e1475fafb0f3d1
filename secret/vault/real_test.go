package vault_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/hashicorp/vault/api"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/secret/vault"
)

// realVault is a Vault server in development mode, of its own for every test: sealing one must not disturb another.
type realVault struct {
	*api.Client // as root
	unsealKey   string
}

func startVault(t *testing.T) *realVault {
	t.Helper()
	binary := stack.Program(t, "vault")
	address := fmt.Sprintf("127.0.0.1:%d", twoPorts(t))
	home := t.TempDir() // the server leaves its token there
	cmd := exec.CommandContext(t.Context(), binary, "server", "-dev", "-dev-root-token-id=root", "-dev-listen-address="+address, "-dev-no-store-token")
	cmd.Env = append(os.Environ(), "HOME="+home, "VAULT_ADDR=", "VAULT_TOKEN=")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	printed := &unsealKey{found: make(chan string, 1), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(printed.ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() { <-printed.ended }) // the test's context has ended by then, and the server with it
	config := api.DefaultConfig()
	config.Address, config.MaxRetries = "http://"+address, 0
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken("root")
	v := &realVault{Client: client}
	waitFor(t, "vault is ready", func() bool {
		select {
		case <-printed.ended:
			t.Fatalf("vault ended before it was ready:\n%s", printed.text())
		default:
		}
		health, err := client.Sys().HealthWithContext(t.Context())
		return err == nil && health.Initialized && !health.Sealed
	})
	select {
	case v.unsealKey = <-printed.found:
	case <-time.After(30 * time.Second):
		t.Fatalf("vault did not print its unseal key:\n%s", printed.text())
	}
	return v
}

// twoPorts returns the first of two neighbours: in development mode the server listens on the one that it is told, and for its cluster on the next.
func twoPorts(t *testing.T) int {
	t.Helper()
	for {
		ports, err := freeport.Find(2)
		if err != nil {
			t.Fatal(err)
		}
		if ports[1] == ports[0]+1 {
			return ports[0]
		}
	}
}

// unsealKey keeps what the server prints and finds the key in it.
type unsealKey struct {
	found chan string
	ended chan struct{} // closed when the server has ended

	mu   sync.Mutex
	all  bytes.Buffer
	sent bool
}

func (k *unsealKey) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all.Write(p)
	if _, rest, ok := strings.Cut(k.all.String(), "Unseal Key: "); ok && !k.sent {
		if key, _, whole := strings.Cut(rest, "\n"); whole {
			k.found <- strings.TrimSpace(key)
			k.sent = true
		}
	}
	return len(p), nil
}

func (k *unsealKey) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all.String()
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (v *realVault) write(t *testing.T, path string, data map[string]any) *api.Secret {
	t.Helper()
	s, err := v.Logical().WriteWithContext(t.Context(), path, data)
	if err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
	return s
}

func (v *realVault) put(t *testing.T, name string, data map[string]any) {
	t.Helper()
	v.write(t, "secret/data/nomadhub/"+name, map[string]any{"data": data})
}

// allow makes the policy that a hub needs, and not more.
func (v *realVault) allow(t *testing.T) {
	t.Helper()
	v.write(t, "sys/policies/acl/nomadhub", map[string]any{"policy": `path "secret/data/nomadhub/*" { capabilities = ["read"] }`})
}

func (v *realVault) open(t *testing.T, change func(*vault.Options)) *vault.Store {
	t.Helper()
	o := vault.Options{Address: v.Address(), Prefix: "nomadhub", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	change(&o)
	store, err := vault.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// approle sets AppRole up and returns how to log in with it.
func (v *realVault) approle(t *testing.T, ttl string) func(*vault.Options) {
	t.Helper()
	v.allow(t)
	v.write(t, "sys/auth/approle", map[string]any{"type": "approle"})
	v.write(t, "auth/approle/role/hub", map[string]any{"token_policies": "nomadhub", "token_ttl": ttl, "token_max_ttl": ttl})
	role, err := v.Logical().ReadWithContext(t.Context(), "auth/approle/role/hub/role-id")
	if err != nil {
		t.Fatal(err)
	}
	roleID, _ := role.Data["role_id"].(string)
	secretID, _ := v.write(t, "auth/approle/role/hub/secret-id", nil).Data["secret_id"].(string)
	file := write(t, secretID+"\n")
	return func(o *vault.Options) { o.AppRole = &vault.AppRole{RoleID: roleID, SecretIDFile: file} }
}

func TestRealVault(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.put(t, "oauth/github", map[string]any{"client_secret": "one"})
	store := v.open(t, v.approle(t, "1h"))

	s, err := store.Get(t.Context(), "oauth/github")
	if err != nil || s.Values["client_secret"].Reveal() != "one" || s.Version != 1 {
		t.Fatalf("version %d, %v", s.Version, err)
	}
	v.put(t, "oauth/github", map[string]any{"client_secret": "two"})
	if s, err = store.Get(t.Context(), "oauth/github"); err != nil || s.Values["client_secret"].Reveal() != "two" || s.Version != 2 {
		t.Errorf("after a rotation: version %d, %v", s.Version, err)
	}
	if _, err := store.Get(t.Context(), "none"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("unknown secret: %v", err)
	}
	if _, err := v.Logical().DeleteWithContext(t.Context(), "secret/data/nomadhub/oauth/github"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "oauth/github"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("deleted secret: %v", err)
	}
	v.write(t, "secret/data/other", map[string]any{"data": map[string]any{"a": "b"}})
	for _, name := range []string{"../other", "", "a//b", "./oauth"} {
		if _, err := store.Get(t.Context(), name); err == nil || !strings.Contains(err.Error(), "is not the name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Sealed while the hub runs: what was read stays; sealed at the start: nothing is invented (faults F17, F18).
func TestRealVaultSealed(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	id, key := secret.NewKey(time.Now())
	v.put(t, "cookie-keys", map[string]any{id: key.Reveal()})
	login := v.approle(t, "1h")
	newRing := func() *secret.Ring {
		ring, err := secret.NewRing(secret.RingOptions{Store: v.open(t, login), Name: "cookie-keys", Interval: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	ring := newRing()
	if err := ring.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	code := ring.Sign("p", nil)
	if err := v.Sys().SealWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ring.Load(t.Context()); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("sealed: %v", err)
	}
	if ring.Sign("p", nil) != code || !ring.Verify("p", nil, code) {
		t.Error("the keys in memory are lost")
	}
	fresh := newRing()
	if err := fresh.Load(t.Context()); !errors.Is(err, secret.ErrUnavailable) || fresh.Sign("p", nil) != "" {
		t.Errorf("started while sealed: %v", err)
	}

	if _, err := v.Sys().UnsealWithContext(t.Context(), v.unsealKey); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ring.Run(ctx) }()
	id2, key2 := secret.NewKey(time.Now().Add(time.Hour))
	waitFor(t, "vault works again", func() bool {
		_, err := v.Logical().WriteWithContext(t.Context(), "secret/data/nomadhub/cookie-keys",
			map[string]any{"data": map[string]any{id: key.Reveal(), id2: key2.Reveal()}})
		return err == nil
	})
	waitFor(t, "the new key signs", func() bool { return ring.Keys().Current() == id2 })
	if !ring.Verify("p", nil, code) {
		t.Error("rotation logged everybody out")
	}
	if !fresh.Verify("p", nil, code) && fresh.Load(t.Context()) != nil {
		t.Error("the one that started while vault was sealed does not heal")
	}
	cancel()
	<-done
}

// Tokens that expire or are revoked are replaced by a login (fault F19).
func TestRealVaultTokensEnd(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.put(t, "x", map[string]any{"a": "b"})
	store := v.open(t, v.approle(t, "2s"))
	vault.SetLoginPause(store, 0)
	start := time.Now()
	waitFor(t, "two lifetimes have passed", func() bool {
		if _, err := store.Get(t.Context(), "x"); err != nil {
			t.Fatalf("after %s: %v", time.Since(start), err)
		}
		return time.Since(start) > 4500*time.Millisecond
	})
	// Everything that this way of logging in has given out is revoked at once.
	if err := v.Sys().RevokePrefixWithContext(t.Context(), "auth/approle"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Errorf("after a revocation: %v", err)
	}
}

// The way that a Nomad task takes: a signed identity in a file, which is replaced now and then.
func TestRealVaultJWT(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.allow(t)
	v.put(t, "x", map[string]any{"a": "b"})
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	v.write(t, "sys/auth/jwt-nomad", map[string]any{"type": "jwt"})
	v.write(t, "auth/jwt-nomad/config", map[string]any{
		"jwt_validation_pubkeys": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"jwt_supported_algs":     "EdDSA",
	})
	v.write(t, "auth/jwt-nomad/role/hub", map[string]any{
		"role_type": "jwt", "user_claim": "nomad_job_id", "bound_audiences": "vault.io",
		"bound_claims": map[string]any{"nomad_job_id": "nomadhub"}, "token_policies": "nomadhub", "token_ttl": "1h",
	})
	proof := func(job string, age time.Duration) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, nil)
		if err != nil {
			t.Fatal(err)
		}
		issued := time.Now().Add(-age)
		text, err := jwt.Signed(signer).Claims(map[string]any{
			"sub": "global:default:" + job, "aud": "vault.io", "nomad_job_id": job,
			"iat": issued.Unix(), "nbf": issued.Unix(), "exp": issued.Add(10 * time.Minute).Unix(),
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	file := write(t, proof("nomadhub", 24*time.Hour))
	store := v.open(t, func(o *vault.Options) { o.JWT = &vault.JWT{Role: "hub", File: file} })
	for name, old := range map[string]string{"expired": proof("nomadhub", 24*time.Hour), "another job's": proof("evil", 0)} {
		if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Get(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "log in at auth/jwt-nomad/login") || strings.Contains(err.Error(), old) {
			t.Errorf("%s proof: %v", name, err)
		}
	}
	if err := os.WriteFile(file, []byte(proof("nomadhub", 0)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Get(t.Context(), "x")
	if err != nil || s.Values["a"].Reveal() != "b" {
		t.Errorf("with a good proof: %v", err)
	}
	if shown := fmt.Sprintf("%v %+v %#v", s, s, s.Values); strings.Contains(shown, `"b"`) || strings.Contains(shown, ":b") {
		t.Errorf("the secret shows itself: %s", shown)
	}
}
