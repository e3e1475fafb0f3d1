// Package wire lets a hub in a process of its own run on a cluster that is in the memory of a test: the scheduler's fake, its volumes, and what discovery
// knows. So a test can kill the hub, and the cluster goes on as a real one does.
//
//	test's process                                        hub's process (internal/hubtest/mortal)
//	  World: schedulertest.Fake, static.Registry  ◄─ rpc ─  Client: scheduler.Scheduler, VolumeKeeper, routing.Publisher, routing.Source
//	  World.Do(command)                           ─ rpc ─►  Client.Command, Client.Answer
package wire

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// Command is what the hub shall do.
type Command struct {
	// Op is what: start, queue, restart, stop, await.
	Op string
	// User, Server and Options are of the request; for await, State is what to wait for.
	User, Server, Options string
	State                 hub.ServerState
}

// Answer is what came of a command.
type Answer struct {
	ID, Profile string
	State       hub.ServerState
	Generation  int64
	// Failure is the server's, Error the command's; "": none.
	Failure, Error string
	Kind           hub.Kind // of the error
}

// World is the cluster, and where commands come from. Its fields may be used at any time.
type World struct {
	Fake     *schedulertest.Fake
	Registry *static.Registry

	listener net.Listener
	rpc      *rpc.Server
	serving  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	events []scheduler.Event
	more   chan struct{} // closed and replaced at each event
	hubs   map[int]*desk // by process ID: what a dead hub left is nobody else's
}

// desk is where one hub gets its commands, and leaves its answers.
type desk struct {
	orders  chan Command
	answers chan Answer
}

// longPoll is how long a question for news waits for some.
const longPoll = 200 * time.Millisecond

// Serve offers a new world at the listener until ctx ends.
func Serve(ctx context.Context, l net.Listener) (*World, error) {
	w := &World{
		Fake: schedulertest.NewFake(), Registry: static.New(), listener: l, rpc: rpc.NewServer(),
		conns: map[net.Conn]bool{}, more: make(chan struct{}), hubs: map[int]*desk{},
	}
	if err := w.rpc.RegisterName("World", &calls{w}); err != nil {
		return nil, err
	}
	w.serving.Go(func() { w.record(ctx) })
	w.serving.Go(w.accept)
	context.AfterFunc(ctx, w.hangUp)
	return w, nil
}

// Wait returns when nothing of the world goes on any more, after its context has ended.
func (w *World) Wait() { w.serving.Wait() }

func (w *World) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.conns[conn] = true
		w.mu.Unlock()
		w.serving.Go(func() { w.rpc.ServeConn(conn) })
	}
}

func (w *World) hangUp() {
	_ = w.listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.Close()
	}
}

// record keeps all that the cluster tells.
func (w *World) record(ctx context.Context) {
	for e, err := range w.Fake.Watch(ctx) {
		if err != nil {
			continue
		}
		w.mu.Lock()
		w.events = append(w.events, e)
		close(w.more)
		w.more = make(chan struct{})
		w.mu.Unlock()
	}
}

// ErrGone means that the hub ended before it answered.
var ErrGone = errors.New("wire: the hub is gone")

// Do has the hub with that process ID do something. ErrGone if the hub, whose end is told by gone, did not answer.
func (w *World) Do(ctx context.Context, pid int, c Command, gone <-chan struct{}) (Answer, error) {
	d := w.desk(pid)
	select {
	case d.orders <- c:
	case <-gone:
		return Answer{}, ErrGone
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	select {
	case a := <-d.answers:
		return a, nil
	case <-gone:
		return Answer{}, ErrGone
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

func (w *World) desk(pid int) *desk {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hubs[pid] == nil {
		w.hubs[pid] = &desk{make(chan Command), make(chan Answer, 1)}
	}
	return w.hubs[pid]
}

// Fault is an error on the wire.
type Fault struct{ Kind, Text string }

// Result is a value, or a fault.
type Result[T any] struct {
	Value T
	Fault Fault
}

func result[T any](into *Result[T], v T, err error) error {
	*into = Result[T]{Value: v, Fault: faultOf(err)}
	return nil
}

func faultOf(err error) Fault {
	rejected, ok := errors.AsType[*scheduler.RejectedError](err)
	switch {
	case err == nil:
		return Fault{}
	case ok:
		return Fault{"rejected", rejected.Reason}
	case errors.Is(err, scheduler.ErrNotFound):
		return Fault{"not found", err.Error()}
	case errors.Is(err, scheduler.ErrStale):
		return Fault{"stale", err.Error()}
	}
	return Fault{"other", err.Error()}
}

func (f Fault) err() error {
	switch f.Kind {
	case "":
		return nil
	case "rejected":
		return &scheduler.RejectedError{Reason: f.Text, Err: errors.New(f.Text)}
	case "not found":
		return scheduler.ErrNotFound
	case "stale":
		return scheduler.ErrStale
	}
	return errors.New(f.Text)
}

// None is no value.
type None struct{ Nothing bool }

// Run names one run of a server, or a volume.
type Run struct {
	ID         string
	Generation int64
	Kind       scheduler.MountKind
}

// calls are what the hub's process may call.
type calls struct{ w *World }

// Start is that of scheduler.Scheduler, as are the next ones.
func (c *calls) Start(spec scheduler.Spec, r *Result[None]) error {
	return result(r, None{}, c.w.Fake.Start(context.Background(), spec))
}

// Stop ends a run.
func (c *calls) Stop(run Run, r *Result[None]) error {
	return result(r, None{}, c.w.Fake.Stop(context.Background(), run.ID, run.Generation))
}

// Status reports one server.
func (c *calls) Status(id string, r *Result[scheduler.Status]) error {
	st, err := c.w.Fake.Status(context.Background(), id)
	return result(r, st, err)
}

// List reports all.
func (c *calls) List(_ None, r *Result[[]scheduler.Status]) error {
	all, err := c.w.Fake.List(context.Background())
	return result(r, all, err)
}

// News returns events from that one on; -1: none, but how many there are.
func (c *calls) News(from int, r *Result[News]) error {
	c.w.mu.Lock()
	have, more := len(c.w.events), c.w.more
	c.w.mu.Unlock()
	if from == have {
		timer := time.NewTimer(longPoll)
		defer timer.Stop()
		select {
		case <-more:
		case <-timer.C:
		}
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	news := News{Next: len(c.w.events)}
	if from >= 0 {
		news.Events = append(news.Events, c.w.events[from:]...)
	}
	return result(r, news, nil)
}

// News are events, and where the next ones begin.
type News struct {
	Events []scheduler.Event
	Next   int
}

// EnsureVolume is that of scheduler.VolumeKeeper, as are the next ones.
func (c *calls) EnsureVolume(v scheduler.Volume, r *Result[scheduler.VolumeState]) error {
	st, err := c.w.Fake.EnsureVolume(context.Background(), v)
	return result(r, st, err)
}

// VolumeByID reports one volume.
func (c *calls) VolumeByID(v Run, r *Result[scheduler.VolumeState]) error {
	st, err := c.w.Fake.VolumeByID(context.Background(), v.Kind, v.ID)
	return result(r, st, err)
}

// Volumes reports all.
func (c *calls) Volumes(_ None, r *Result[[]scheduler.VolumeState]) error {
	all, err := c.w.Fake.Volumes(context.Background())
	return result(r, all, err)
}

// DeleteVolume deletes one.
func (c *calls) DeleteVolume(v Run, r *Result[None]) error {
	return result(r, None{}, c.w.Fake.DeleteVolume(context.Background(), v.Kind, v.ID))
}

// Publish is that of routing.Publisher, as is the next one.
func (c *calls) Publish(b routing.Binding, r *Result[None]) error {
	return result(r, None{}, c.w.Registry.Publish(context.Background(), b))
}

// Withdraw withdraws a binding.
func (c *calls) Withdraw(run Run, r *Result[None]) error {
	return result(r, None{}, c.w.Registry.Withdraw(context.Background(), run.ID, run.Generation))
}

// Routes returns all routes there are.
func (c *calls) Routes(_ None, r *Result[[]routing.Route]) error { return result(r, c.w.Routes(), nil) }

// Routes returns all routes that were published and not withdrawn.
func (w *World) Routes() []routing.Route {
	for routes, err := range w.Registry.Routes(context.Background()) {
		if err == nil {
			return routes
		}
	}
	return nil
}

// Order waits for a command to the hub with that process ID.
func (c *calls) Order(pid int, r *Result[[]Command]) error {
	timer := time.NewTimer(longPoll)
	defer timer.Stop()
	select {
	case order := <-c.w.desk(pid).orders:
		return result(r, []Command{order}, nil)
	case <-timer.C:
		return result(r, nil, nil)
	}
}

// Done is a command's answer, and whose.
type Done struct {
	PID    int
	Answer Answer
}

// Answer brings what came of the last command.
func (c *calls) Answer(d Done, r *Result[None]) error {
	select {
	case c.w.desk(d.PID).answers <- d.Answer:
	default: // nobody waited for the last one either
	}
	return result(r, None{}, nil)
}
