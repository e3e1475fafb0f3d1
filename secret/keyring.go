package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// MinKeySize is how many bytes a key of a ring has at least.
const MinKeySize = 32

// maxKeys bounds a ring: whoever keeps more has forgotten to remove old ones.
const maxKeys = 64

// currentName is the value of a ring's secret that is no key, but names the one that signs.
const currentName = "current"

// ErrSealed means that a sealed text was not made by this ring for this purpose, or was changed since.
var ErrSealed = errors.New("secret: text cannot be opened with this key ring")

// KeyRing is an immutable set of named keys. One of them signs and seals; all of them verify and open, so that a key can be
// replaced without ending what the older one has vouched for.
//
// Every purpose works with keys of its own, derived by HKDF, so that a code made for one thing is worthless for another.
type KeyRing struct {
	current string
	keys    map[string][]byte
	signing sync.Map // of "ID/purpose" to the key derived for it; the purposes of signatures are constants, so it stays small
}

// NewKeyRing reads a ring from a secret: every value is a key under its ID, at least 32 bytes as hexadecimal digits, as base64 or
// as they are. The value "current", if there is one, is not a key but names the one that signs; without it that is the key with
// the highest ID in byte order, so IDs that begin with a date rotate by themselves. IDs consist of letters, digits, "-" and "_".
func NewKeyRing(s Secret) (*KeyRing, error) {
	ring := &KeyRing{keys: make(map[string][]byte, len(s.Values))}
	for id, value := range s.Values {
		if id == currentName {
			continue
		}
		if !validKeyID(id) {
			return nil, fmt.Errorf("secret: key ID %q must be 1 to 64 letters, digits, \"-\" or \"_\"", id)
		}
		key, err := decodeKey(value)
		if err != nil {
			return nil, fmt.Errorf("secret: key %q: %w", id, err)
		}
		ring.keys[id] = key
	}
	switch {
	case len(ring.keys) == 0:
		return nil, errors.New("secret: the key ring has no key; add one of 32 random bytes")
	case len(ring.keys) > maxKeys:
		return nil, fmt.Errorf("secret: the key ring has %d keys, at most %d are allowed; remove the oldest", len(ring.keys), maxKeys)
	}
	if err := ring.choose(s.Values); err != nil {
		return nil, err
	}
	return ring, nil
}

func (r *KeyRing) choose(values map[string]Value) error {
	named, ok := values[currentName]
	if !ok {
		r.current = slices.Max(slices.Collect(maps.Keys(r.keys)))
		return nil
	}
	r.current = strings.TrimSpace(named.Reveal())
	if _, ok := r.keys[r.current]; !ok {
		// The name is not shown: somebody may have put a key there.
		return fmt.Errorf("secret: the value %q of the key ring names a key that is not in it", currentName)
	}
	return nil
}

// NewKey makes a random key and an ID that is higher than those made before.
func NewKey(now time.Time) (id string, key Value) {
	raw := make([]byte, MinKeySize)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	return now.UTC().Format("20060102T150405Z"), Value(base64.StdEncoding.EncodeToString(raw))
}

// Current is the ID of the key that signs.
func (r *KeyRing) Current() string { return r.current }

// IDs returns the IDs of all keys, sorted.
func (r *KeyRing) IDs() []string { return slices.Sorted(maps.Keys(r.keys)) }

// Sign returns a code that proves, to any holder of the ring, that message was signed for purpose.
func (r *KeyRing) Sign(purpose string, message []byte) (code string) {
	return r.current + "." + encode(r.mac(r.current, purpose, message))
}

// Verify tells whether code was made by Sign for the same purpose and message, with any key of the ring.
func (r *KeyRing) Verify(purpose string, message []byte, code string) bool {
	id, sum, ok := r.split(code)
	return ok && hmac.Equal(sum, r.mac(id, purpose, message))
}

// Seal encrypts plaintext so that only holders of the ring can read it, and only for the same purpose. The result consists of
// characters that may stand in a cookie or a URL.
func (r *KeyRing) Seal(purpose string, plaintext []byte) (string, error) {
	aead, err := r.aead(r.current, purpose)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plaintext)+aead.Overhead())
	_, _ = rand.Read(nonce)
	return r.current + "." + encode(aead.Seal(nonce, nonce, plaintext, []byte(r.current))), nil
}

// Open decrypts what Seal made. It fails with ErrSealed for everything else.
func (r *KeyRing) Open(purpose, sealed string) ([]byte, error) {
	id, box, ok := r.split(sealed)
	if !ok {
		return nil, ErrSealed
	}
	aead, err := r.aead(id, purpose)
	if err != nil {
		return nil, err
	}
	if len(box) < aead.NonceSize() {
		return nil, ErrSealed
	}
	plaintext, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], []byte(id))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// knows tells whether the key that made a code or a sealed text is in the ring.
func (r *KeyRing) knows(code string) bool {
	id, _, ok := strings.Cut(code, ".")
	return ok && r.keys[id] != nil
}

// plausible tells whether a text could be a code of some ring at all.
func plausible(code string) bool {
	id, _, ok := strings.Cut(code, ".")
	return ok && validKeyID(id)
}

func (r *KeyRing) split(code string) (id string, content []byte, ok bool) {
	id, text, found := strings.Cut(code, ".")
	if !found || r.keys[id] == nil {
		return "", nil, false
	}
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return id, content, err == nil
}

func (r *KeyRing) mac(id, purpose string, message []byte) []byte {
	h := hmac.New(sha256.New, r.signingKey(id, purpose))
	h.Write(message)
	return h.Sum(nil)
}

// signingKey remembers what it derives: thousands of signatures are looked at when a hub starts.
func (r *KeyRing) signingKey(id, purpose string) []byte {
	name := id + "/" + purpose
	if key, ok := r.signing.Load(name); ok {
		return key.([]byte) //nolint:forcetypeassert // nothing else is kept there
	}
	key := r.derive(id, "sign", purpose)
	r.signing.Store(name, key)
	return key
}

func (r *KeyRing) aead(id, purpose string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(r.derive(id, "seal", purpose))
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return cipher.NewGCM(block)
}

func (r *KeyRing) derive(id, use, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, r.keys[id], nil, "nomadhub/v1/"+use+"/"+purpose, sha256.Size)
	if err != nil {
		// HKDF refuses only keys of impossible lengths; 32 bytes is a constant.
		panic("secret: derive key: " + err.Error())
	}
	return key
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decodeKey reads hexadecimal first: sixty-four such digits are base64 too, but nobody means that.
func decodeKey(v Value) ([]byte, error) {
	text := strings.TrimSpace(v.Reveal())
	if key, err := hex.DecodeString(text); err == nil {
		if len(key) < MinKeySize {
			return nil, fmt.Errorf("it has %d bytes in hexadecimal digits, %d are needed", len(key), MinKeySize)
		}
		return key, nil
	}
	unpadded := strings.TrimRight(text, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := enc.DecodeString(unpadded); err == nil && len(key) >= MinKeySize {
			return key, nil
		}
	}
	if len(text) < MinKeySize {
		return nil, fmt.Errorf("it has %d bytes, %d are needed", len(text), MinKeySize)
	}
	return []byte(text), nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
