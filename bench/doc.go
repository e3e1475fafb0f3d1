// Command bench measures the hub beside its peers, on one machine and in one run: "make bench" starts it.
//
// It prints one JSON line for each measurement, and at the end a table of ratios and of the goals that were met or missed. What
// is measured and by which rules is told in docs/how-to/measure.md; how to read a result, in docs/explanation/scale.md.
//
//	core 0   the hub, or the peer in its place, with GOMAXPROCS=1
//	core 1   Nomad, Consul, Postgres, the notebooks' stand-ins and this program, which asks
//
// As root it runs in a network and a process namespace of its own: no port of the machine is used, and the kernel ends everything
// that it started, however it ends itself.
//
// It is a module of its own, so that nothing it needs enters the hub's program.
package main
