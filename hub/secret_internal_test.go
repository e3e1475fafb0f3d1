package hub

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestF44_SecretsAreLong: a secret has 256 bits, no two are alike, and what is stored tells nothing of it.
func TestF44_SecretsAreLong(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		secret := newSecret()
		if raw, err := hex.DecodeString(secret); err != nil || len(raw) != 32 || seen[secret] {
			t.Fatalf("the secret has %d bytes (%v), or is there twice", len(raw), err)
		}
		seen[secret] = true
		if sum := sha256.Sum256([]byte(secret)); !bytes.Equal(hashSecret(secret), sum[:]) {
			t.Fatal("a secret is not stored as its SHA-256")
		}
	}
	if id := newBrowserID(); len(id) != browserIDSize {
		t.Errorf("a browser's ID has %d digits", len(id))
	}
}
