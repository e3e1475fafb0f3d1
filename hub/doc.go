// Package hub is the core: who the users are, what they want to run, and what has to be done next to make it so. It holds all
// policy and no mechanism: it speaks to a [Store], a scheduler, a router and authenticators through their contracts.
//
// A request writes intent (a row) and returns. The controller makes the world match it:
//
//	StartServer ─► row: starting, generation+1 ─► observe (row, scheduler, probe) ─► plan (pure) ─► act ─► observe …
//
// Every action is idempotent, so a crash between two of them is mended by the next round, on any replica.
package hub
