package routing

import "hash/fnv"

// Shards is how many service names the notebooks are spread over. A Consul blocking query answers with the whole list of one name, so
// one name for all would send every notebook to every reader at each start of any of them.
const Shards = 128

// Shard tells which of the [Shards] a server belongs to. It is the same on every machine and in every release: registrations and
// bindings that are already out there are found by it.
func Shard(server string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(server)) // a hash never fails to write
	return int(h.Sum32() % Shards)
}
