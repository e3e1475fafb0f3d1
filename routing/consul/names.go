package consul

import (
	"fmt"
	"strings"

	"github.com/nomadhub/nomadhub/routing"
)

// The names of service metadata that say which run of which server a registration is.
const (
	MetaServer     = "nomadhub_server"
	MetaGeneration = "nomadhub_generation"
	MetaAllocation = "nomadhub_allocation"
)

// ServiceName is the name under which a server is to be registered: the prefix and the server's shard, as in "notebook-3f".
func ServiceName(prefix, server string) string { return shardName(prefix, routing.Shard(server)) }

func shardName(prefix string, shard int) string { return fmt.Sprintf("%s-%02x", prefix, shard) }

// bindingsOf is where the bindings of a shard are; a binding's key is this and the server's ID.
func (r *Registry) bindingsOf(shard int) string {
	return fmt.Sprintf("%s/bindings/%02x/", r.prefix, shard)
}

func (r *Registry) bindingKey(server string) string {
	return r.bindingsOf(routing.Shard(server)) + server
}

// changes is where each shard has a key that changes whenever one of its bindings does.
func (r *Registry) changes() string { return r.prefix + "/changes/" }

func (r *Registry) changeKey(shard int) string { return fmt.Sprintf("%s%02x", r.changes(), shard) }

// keyable tells whether the server's ID can be the end of a key, so that no ID reaches another's key.
func keyable(server string) bool {
	return server != "" && len(server) <= 128 && !strings.ContainsFunc(server, func(c rune) bool { return c <= ' ' || c == '/' || c >= 0x7f })
}
