package routing

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrForged means that a binding was not made by the hub, or was changed since.
var ErrForged = errors.New("routing: binding is not signed by the hub")

// Binding is the hub's word that one run of a server listens at one address and owns one path prefix. Any job of a cluster can
// register in Consul, and anyone who reads the catalog can copy what it says; so the proof covers all of these fields, and a copy is
// of no use at another address or for another allocation.
type Binding struct {
	Server     string `json:"server"`     // immutable ID
	Prefix     string `json:"prefix"`     // decoded, with leading and trailing slash
	Generation int64  `json:"generation"` // the start that this run belongs to
	Instance   string `json:"instance"`   // allocation ID, or process identity
	Address    string `json:"address"`    // host:port
	Placement  uint64 `json:"placement"`  // order of placement, higher is later
}

// Signer makes and checks message authentication codes with the hub's key ring. The purpose keeps a code made for one thing
// from being used for another.
type Signer interface {
	Sign(purpose string, message []byte) (code string)
	Verify(purpose string, message []byte, code string) bool
}

const bindingPurpose = "routing.binding.v1"

type signedBinding struct {
	Binding json.RawMessage `json:"binding"`
	Code    string          `json:"code"`
}

// Seal returns the binding in the form that is published.
func (b Binding) Seal(s Signer) ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("seal binding of %s: %w", b.Server, err)
	}
	return json.Marshal(signedBinding{Binding: raw, Code: s.Sign(bindingPurpose, raw)})
}

// OpenBinding checks and decodes what Seal made. It fails with ErrForged when the code does not match.
func OpenBinding(s Signer, sealed []byte) (Binding, error) {
	var sb signedBinding
	if err := json.Unmarshal(sealed, &sb); err != nil {
		return Binding{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if !s.Verify(bindingPurpose, sb.Binding, sb.Code) {
		return Binding{}, ErrForged
	}
	var b Binding
	if err := json.Unmarshal(sb.Binding, &b); err != nil {
		return Binding{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return b, nil
}

// Route returns the route that the binding speaks for.
func (b Binding) Route() Route {
	return Route{
		Prefix: b.Prefix, Address: b.Address, Server: b.Server,
		Generation: b.Generation, Instance: b.Instance, Placement: b.Placement,
	}
}
