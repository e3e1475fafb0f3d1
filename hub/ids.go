package hub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"
)

// newID returns a new immutable ID. IDs of version 7 sort by creation.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newSecret returns 256 bits that nobody can guess, as 64 hexadecimal digits.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // it never fails; it ends the program instead
	return hex.EncodeToString(b[:])
}

// newBrowserID returns 32 hexadecimal digits, as JupyterHub's are. It is no secret: servers see it.
func newBrowserID() string { return newSecret()[:browserIDSize] }

// hashSecret is how secrets of tokens, clients and codes are stored and found again.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
