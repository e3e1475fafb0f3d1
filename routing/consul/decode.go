package consul

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/internal/pull"
	"github.com/nomadhub/nomadhub/routing"
)

// readRegistrations takes from a listing what speaks of notebooks of this shard, sorted and each once. Checks do not count: a failing one does not make a server
// unreachable, and it is for Nomad to say that a server has ended.
func readRegistrations(entries []instance, shard int) ([]registration, []ignored) {
	registrations, bad := make([]registration, 0, len(entries)), []ignored(nil)
	for _, entry := range entries {
		r, err := readRegistration(entry)
		switch {
		case err != nil:
			bad = append(bad, ignored{"registration " + entry.ServiceID, malformed})
		case routing.Shard(r.server) != shard:
			bad = append(bad, ignored{"registration " + entry.ServiceID, copied})
		default:
			registrations = append(registrations, r)
		}
	}
	slices.SortFunc(registrations, registration.compare)
	return slices.Compact(registrations), bad
}

// instance is what is read of one of a service's instances, as Consul's catalog lists them.
type instance struct {
	ServiceID      string
	ServiceAddress string // "": that of the node
	ServicePort    int
	ServiceMeta    map[string]string
	Address        string // of the node
}

// instances is a listing, of which most is passed over unread.
type instances []instance

// UnmarshalJSON implements [json.Unmarshaler].
func (l *instances) UnmarshalJSON(text []byte) error {
	c := pull.New(text)
	return c.Elements(func() error {
		var one instance
		err := c.Fields(func(name []byte) error {
			switch string(name) {
			case "ServiceID":
				return c.Text(&one.ServiceID)
			case "ServiceAddress":
				return c.Text(&one.ServiceAddress)
			case "ServicePort":
				return c.Int(&one.ServicePort)
			case "ServiceMeta":
				return c.Texts(&one.ServiceMeta)
			case "Address":
				return c.Text(&one.Address)
			}
			return nil
		})
		*l = append(*l, one)
		return err
	})
}

func readRegistration(s instance) (registration, error) {
	r := registration{
		server: s.ServiceMeta[MetaServer], allocation: s.ServiceMeta[MetaAllocation],
		address: routing.NormalAddress(net.JoinHostPort(cmp.Or(s.ServiceAddress, s.Address), strconv.Itoa(s.ServicePort))),
	}
	if r.server == "" || r.allocation == "" || r.address == "" {
		return r, errors.New("not a notebook's registration")
	}
	if text := s.ServiceMeta[MetaGeneration]; text != "" {
		var err error
		if r.generation, err = strconv.ParseInt(text, 10, 64); err != nil || r.generation < 1 {
			return r, fmt.Errorf("generation %q: %w", text, err)
		}
	}
	return r, nil
}

// listedBinding is a binding as it lies in the key-value store.
type listedBinding struct {
	routing.Binding
	index  uint64
	marked uint64 // when a mark was made, in seconds since 1970; tells nothing but when it may be removed
}

// listing is what lies at the keys of a shard.
type listing struct {
	bindings map[string]listedBinding // by server
	indexes  map[string]uint64        // by key, of whatever lies there
	index    uint64                   // of the whole
	bad      []ignored
}

// readBindings opens the bindings of a shard. One that the hub did not sign, or that lies at a key which is not its own, is not there.
func (r *Registry) readBindings(pairs api.KVPairs, index uint64) listing {
	l := listing{index: index, bindings: make(map[string]listedBinding, len(pairs)), indexes: make(map[string]uint64, len(pairs))}
	for _, pair := range pairs {
		l.indexes[pair.Key] = pair.ModifyIndex
		b, why := r.open(pair)
		if why != "" {
			// The index makes another forgery at the same key another one, so that each is counted.
			l.bad = append(l.bad, ignored{fmt.Sprint("binding ", pair.Key, " ", pair.ModifyIndex), why})
			continue
		}
		l.bindings[b.Server] = b
	}
	return l
}

func (r *Registry) open(pair *api.KVPair) (listedBinding, reason) {
	b, err := routing.OpenBinding(r.signer, pair.Value)
	switch {
	case err != nil:
		return listedBinding{}, forged
	case pair.Key != r.bindingKey(b.Server) || !keyable(b.Server):
		return listedBinding{}, copied
	}
	return listedBinding{Binding: b, index: pair.ModifyIndex, marked: pair.Flags}, ""
}
