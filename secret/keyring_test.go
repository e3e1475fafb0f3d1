package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

func randomKey(t *testing.T) Value {
	t.Helper()
	_, key := NewKey(time.Now())
	return key
}

func newRing(t *testing.T, values map[string]Value) *KeyRing {
	t.Helper()
	ring, err := NewKeyRing(Secret{Values: values})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestNewKeyRing(t *testing.T) {
	t.Parallel()
	good := Value(strings.Repeat("0123456789abcdef", 4))
	for _, tt := range []struct {
		name    string
		values  map[string]Value
		current string
		err     string
	}{
		{"highest ID signs", map[string]Value{"2025": good, "2026": good}, "2026", ""},
		{"current names the signer", map[string]Value{"2025": good, "2026": good, "current": "2025\n"}, "2025", ""},
		{"current names nobody", map[string]Value{"2025": good, "current": "hunter2hunter2"}, "", "not in it"},
		{"none", nil, "", "no key"},
		{"only current", map[string]Value{"current": "a"}, "", "no key"},
		{"short", map[string]Value{"a": "short"}, "", "32 are needed"},
		{"short hexadecimal is not taken as text", map[string]Value{"a": good[:32]}, "", "16 bytes in hexadecimal"},
		{"bad ID", map[string]Value{"a.b": good}, "", `"a.b"`},
		{"empty ID", map[string]Value{"": good}, "", "1 to 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ring, err := NewKeyRing(Secret{Values: tt.values})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error shows a value: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if ring.Current() != tt.current {
				t.Errorf("current %q, want %q", ring.Current(), tt.current)
			}
		})
	}
}

// The same bytes are the same key in every notation, so that an operator may change the notation.
func TestKeyNotations(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0xff, 7, 'k'}, 8)
	code := newRing(t, map[string]Value{"a": Value(hex.EncodeToString(raw))}).Sign("p", []byte("m"))
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
		strings.ToUpper(hex.EncodeToString(raw)), base64.URLEncoding.EncodeToString(raw) + "\n",
	} {
		if !newRing(t, map[string]Value{"a": Value(text)}).Verify("p", []byte("m"), code) {
			t.Errorf("key as %q is another key", text)
		}
	}
	newRing(t, map[string]Value{"a": "any text of thirty-two bytes, or more, will do!"})
}

func TestSign(t *testing.T) {
	t.Parallel()
	ring := newRing(t, map[string]Value{"a": randomKey(t)})
	code := ring.Sign("session", []byte("alice"))
	if !ring.Verify("session", []byte("alice"), code) {
		t.Fatal("own code refused")
	}
	if ring.Verify("session", []byte("bob"), code) {
		t.Error("code holds for another message")
	}
	if ring.Verify("csrf", []byte("alice"), code) {
		t.Error("code holds for another purpose")
	}
	for i := range len(code) {
		forged := []byte(code)
		forged[i] ^= 1
		if ring.Verify("session", []byte("alice"), string(forged)) {
			t.Errorf("code holds with byte %d changed: %s", i, forged)
		}
	}
	for _, forged := range []string{"", ".", "a", "a.", "." + code, code + "A", code[:len(code)-1]} {
		if ring.Verify("session", []byte("alice"), forged) {
			t.Errorf("code %q holds", forged)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	k1, k2 := randomKey(t), randomKey(t)
	first := newRing(t, map[string]Value{"2025": k1})
	both := newRing(t, map[string]Value{"2025": k1, "2026": k2})
	last := newRing(t, map[string]Value{"2026": k2})

	oldCode, newCode := first.Sign("p", []byte("m")), both.Sign("p", []byte("m"))
	if !strings.HasPrefix(newCode, "2026.") {
		t.Errorf("the newest key does not sign: %s", newCode)
	}
	if !both.Verify("p", []byte("m"), oldCode) {
		t.Error("the older key does not verify any more")
	}
	if last.Verify("p", []byte("m"), oldCode) {
		t.Error("a removed key still verifies")
	}
	if !last.Verify("p", []byte("m"), newCode) {
		t.Error("the newest key does not verify")
	}
	replaced := newRing(t, map[string]Value{"2025": k2})
	if replaced.Verify("p", []byte("m"), oldCode) {
		t.Error("the ID counts instead of the key")
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	k1, k2 := randomKey(t), randomKey(t)
	ring := newRing(t, map[string]Value{"a": k1})
	for _, text := range []string{"", "x", strings.Repeat("flow", 1000)} {
		sealed, err := ring.Seal("flow", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ring.Open("flow", sealed); err != nil || string(got) != text {
			t.Fatalf("opened %q, %v", got, err)
		}
		again, err := ring.Seal("flow", []byte(text))
		if err != nil || again == sealed {
			t.Errorf("sealed twice alike: %v", err)
		}
		if _, err := newRing(t, map[string]Value{"a": k1, "b": k2}).Open("flow", sealed); err != nil {
			t.Errorf("not opened after a rotation: %v", err)
		}
		for name, open := range map[string]func() ([]byte, error){
			"another purpose": func() ([]byte, error) { return ring.Open("other", sealed) },
			"another key":     func() ([]byte, error) { return newRing(t, map[string]Value{"a": k2}).Open("flow", sealed) },
			"removed key":     func() ([]byte, error) { return newRing(t, map[string]Value{"b": k2}).Open("flow", sealed) },
			"cut":             func() ([]byte, error) { return ring.Open("flow", sealed[:10]) },
			"empty":           func() ([]byte, error) { return ring.Open("flow", "") },
			"a code":          func() ([]byte, error) { return ring.Open("flow", ring.Sign("flow", []byte(text))) },
		} {
			if _, err := open(); !errors.Is(err, ErrSealed) {
				t.Errorf("%s: %v, want ErrSealed", name, err)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	_, key := NewKey(time.Now())
	ring, err := NewKeyRing(Secret{Values: map[string]Value{"a": key}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a.AAAA", "a.AAAA")
	f.Add("", "b.x")
	f.Fuzz(func(t *testing.T, sealed, code string) {
		if _, err := ring.Open("p", sealed); err == nil {
			t.Errorf("opened %q", sealed)
		}
		if ring.Verify("p", nil, code) {
			t.Errorf("verified %q", code)
		}
	})
}
