package routing

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nomadhub/nomadhub/internal/pull"
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
	raw, code, err := takeSealed(sealed)
	if err != nil {
		return Binding{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if !s.Verify(bindingPurpose, raw, code) {
		return Binding{}, ErrForged
	}
	b, err := takeBinding(raw)
	if err != nil {
		return Binding{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return b, nil
}

// takeSealed reads a signedBinding. A hub opens thousands at its start, so it is not done by reflection.
func takeSealed(text []byte) (raw []byte, code string, err error) {
	c := pull.New(text)
	err = c.Fields(func(name []byte) (err error) {
		switch string(name) {
		case "binding":
			raw, err = c.Value()
		case "code":
			err = c.Text(&code)
		}
		return err
	})
	return raw, code, err
}

func takeBinding(text []byte) (b Binding, err error) {
	c := pull.New(text)
	err = c.Fields(func(name []byte) error {
		switch string(name) {
		case "server":
			return c.Text(&b.Server)
		case "prefix":
			return c.Text(&b.Prefix)
		case "generation":
			return c.Int64(&b.Generation)
		case "instance":
			return c.Text(&b.Instance)
		case "address":
			return c.Text(&b.Address)
		case "placement":
			return c.Uint64(&b.Placement)
		}
		return nil
	})
	return b, err
}

// Route returns the route that the binding speaks for.
func (b Binding) Route() Route {
	return Route{
		Prefix: b.Prefix, Address: b.Address, Server: b.Server,
		Generation: b.Generation, Instance: b.Instance, Placement: b.Placement,
	}
}
