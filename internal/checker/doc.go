// Package checker judges what a hub did while a test disturbed it.
//
//	clients, pollers ──► History ──► model, by porcupine ─┐
//	each server's process ──► a file in its home ─────────┼──► Verify: nothing, or the part of the history that nothing explains
//	Nomad, Consul, the proxy ──► Runs ────────────────────┘
//
// The history of calls and answers must be that of a server which does one thing after the other (stopped, starting, ready, stopping), each call at one instant
// between its begin and its answer; see [History]. What processes wrote into a home must show one writer after the other; see [CheckWriters]. And no observation
// may show two runs of one server at once; see [Runs].
//
// A call whose answer did not come, because the hub was killed or a connection cut, may have happened at any time since, or not at all.
package checker
