package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
)

// How far a start has come, for the progress bar.
const (
	percentAccepted = 15
	percentPlaced   = 35
	percentRunning  = 50
	percentAnswered = 85
)

// act carries out one step.
func (h *Hub) act(ctx context.Context, w *worker, o observation, p plan) error {
	row := w.run.row
	w.run.row = nil // it was written, unless the step says otherwise
	err := h.take(ctx, w, o, p)
	if err == nil && w.run.row == nil && p.step.leavesRow() {
		w.run.row = row
	}
	return err
}

func (h *Hub) take(ctx context.Context, w *worker, o observation, p plan) error {
	switch p.step {
	case rest:
		return nil
	case register:
		return h.register(ctx, w, o.server)
	case block:
		return h.block(ctx, w, o.server, p.reason)
	case unblock:
		return h.unblock(ctx, o.server)
	case place:
		return h.place(ctx, w, o)
	case publish:
		return h.publish(ctx, w, o.server)
	case probe:
		return h.probe(ctx, w, o)
	case await:
		return h.markReady(ctx, w, o)
	case fail:
		return h.fail(ctx, o.server, Failure{Message: p.reason, Cause: p.cause})
	case note:
		return h.note(ctx, o)
	case remove:
		err := h.remove(ctx, w, o.server)
		w.run.gone = err == nil
		if err == nil && w.run.cut.IsZero() {
			w.run.secret = "" // nothing of the start is left that could need to be ended
		}
		return err
	}
	return fmt.Errorf("hub: unknown step %d", p.step)
}

// register hands the server to the scheduler with a token of its own. A crash before or after leaves a token that no server holds, or one that the server
// holds; all of a server's tokens go when it stops.
func (h *Hub) register(ctx context.Context, w *worker, s Server) error {
	c, err := h.choiceOf(ctx, w, s)
	if bad, ok := errors.AsType[*Error](err); ok && bad.Kind == Invalid {
		return h.fail(ctx, s, Failure{
			Message: "The server cannot be started as it was chosen, since the profiles have changed. " + bad.Message + " Choose again.",
		})
	}
	if err != nil {
		return err
	}
	mounts, err := h.mounts(ctx, s, c)
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		h.log.WarnContext(ctx, "volumes of a server refused", "server_id", s.ID, "err", rejected.Err)
		return h.fail(ctx, s, Failure{Message: rejected.Reason, Cause: scheduler.CauseVolume})
	}
	if err != nil {
		return err
	}
	if w.run.secret == "" {
		secret, err := h.issueServerToken(ctx, s)
		if err != nil {
			return err
		}
		w.run.secret = secret
	}
	failpoint("start.before-register")
	sctx, cancel := context.WithTimeout(ctx, placeTimeLeft(s, h.now(), c.StartTimeout))
	defer cancel()
	err = h.opts.Scheduler.Start(sctx, h.spec(s, c, mounts, w.run.secret))
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		h.log.WarnContext(ctx, "scheduler refused a server", "server_id", s.ID, "err", rejected.Err)
		return h.fail(ctx, s, Failure{Message: rejected.Reason, Cause: scheduler.CauseMisconfigured})
	}
	if err != nil {
		if sctx.Err() != nil {
			w.run.cut = h.now()
		}
		return err
	}
	w.run.cut = time.Time{}
	failpoint("start.after-register")
	w.run.registered = true
	w.run.row = &s // as it was read
	h.journals.mention(s, percentAccepted, "The server was handed to the scheduler.")
	return nil
}

// mounts makes sure of the volumes that the choice needs.
func (h *Hub) mounts(ctx context.Context, s Server, c choice) ([]scheduler.Mount, error) {
	if len(c.Volumes) == 0 {
		return nil, nil
	}
	failpoint("start.before-volumes")
	mounts, err := h.claimVolumes(ctx, s, c.user, c.Volumes)
	if err != nil {
		return nil, err
	}
	failpoint("start.after-volumes")
	return mounts, checkRevision(ctx, h.store, s) // a worker that was held up for long does not go on
}

// spec is what the scheduler is to run.
func (h *Hub) spec(s Server, c choice, mounts []scheduler.Mount, secret string) scheduler.Spec {
	path := h.urls.Server(s.UserName, s.Name)
	env := environment(h.urls, s, h.opts.Notebook.Env)
	maps.Copy(env, c.environment())
	spec := scheduler.Spec{
		ID: s.ID, Generation: s.Generation,
		Labels:      map[string]string{"user": s.UserName, "server": s.Name},
		Env:         env,
		Secrets:     map[string]string{"JUPYTERHUB_API_TOKEN": secret, "JPY_API_TOKEN": secret},
		URLVariable: "JUPYTERHUB_SERVICE_URL", URLPath: path, HealthPath: path + "api",
		Home: s.UserID, Resources: c.Resources, Workload: c.workload(mounts),
	}
	if h.opts.Notebook.LocalAccounts {
		spec.Owner = s.UserName
	}
	if h.opts.ServiceName != nil {
		spec.Service = h.opts.ServiceName(s.ID)
	}
	return spec
}

// place writes down where the server runs.
func (h *Hub) place(ctx context.Context, w *worker, o observation) error {
	s := o.server
	s.Instance, s.Address, s.Placement, s.Wait = o.status.Instance, o.status.Address, o.status.Placement, nil
	if s.Held != nil && o.status.Node != "" {
		held := *s.Held
		held.Node = o.status.Node
		s.Held = &held
	}
	s, err := h.writeRun(ctx, w, o, s)
	if err != nil {
		return err
	}
	h.wrote(w, s, percentPlaced, "The server has a place and is being started.")
	h.queue.poke() // the next one for its machines may go on
	return nil
}

// block writes down that a start waits for room in the cluster.
func (h *Hub) block(ctx context.Context, w *worker, s Server, reason string) error {
	reason = cmp.Or(h.volumeNote(ctx, s), reason)
	first := s.Wait == nil || !s.Wait.Blocked
	next := Wait{Reason: reason, Since: h.now(), Blocked: true, Pool: s.Held.pool()}
	if !first {
		next.Since = s.Wait.Since
	}
	if c, err := h.choiceOf(ctx, w, s); err == nil {
		next.Until = s.Queued.Add(c.QueueTimeout)
		next.Resource, next.Pool = h.shortage(ctx, c, next.Pool)
	}
	s.Wait = &next
	s, err := h.store.UpdateServer(ctx, s)
	if err != nil {
		return err
	}
	w.run.notedAt = h.now()
	h.journals.say(s, 0, reason)
	if first {
		h.metrics.queue.blocked.Inc()
		h.log.InfoContext(ctx, "cluster has no room for a server", "user", s.UserName, "server", s.Name, "server_id", s.ID, "pool", next.Pool, "reason", reason)
		h.queue.poke() // it does not count as a start while it waits
	}
	return nil
}

// shortage is what the cluster is short of for the choice, as far as it can be asked.
func (h *Hub) shortage(ctx context.Context, c choice, pool string) (resource, inPool string) {
	if h.planner() == nil {
		return "", pool
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	f, err := h.forecasts.of(ctx, c)
	if err != nil {
		return "", pool
	}
	return f.Resource, cmp.Or(f.Pool, pool)
}

// unblock writes down that there is room. From now on the server has its whole time to get its place.
func (h *Hub) unblock(ctx context.Context, s Server) error {
	s.Wait, s.Admitted = nil, h.now()
	_, err := h.store.UpdateServer(ctx, s)
	return err
}

func (h *Hub) publish(ctx context.Context, w *worker, s Server) error {
	begun := h.now()
	err := h.opts.Publisher.Publish(ctx, routing.Binding{
		Server: s.ID, Prefix: h.urls.Prefix(s.UserName, s.Name), Generation: s.Generation,
		Instance: s.Instance, Address: s.Address, Placement: s.Placement,
	})
	h.metrics.routes.added(h.now().Sub(begun), err)
	if err != nil {
		return fmt.Errorf("publish the route of %s: %w", s.ID, err)
	}
	w.run.published = true
	return nil
}

// probe asks the server until it answers, something else happens to it, or its time is over.
func (h *Hub) probe(ctx context.Context, w *worker, o observation) error {
	patience := o.placedAt.Add(h.timeoutsOf(ctx, w, o.server).answer).Sub(o.now)
	if due, left := runDue(w, o); due {
		patience = min(patience, left)
	}
	pctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	url := "http://" + o.server.Address + h.urls.Server(o.server.UserName, o.server.Name) + "api"
	if answers(pctx, h.opts.Probe, url, w.wake) {
		w.run.answered = true
		h.journals.mention(o.server, percentAnswered, "The server answers.")
	}
	return ctx.Err()
}

// routePatience is how long a server that answers may be without a route before its worker looks at everything again.
const routePatience = 5 * time.Second

func (h *Hub) markReady(ctx context.Context, w *worker, o observation) error {
	s := o.server
	rctx, cancel := context.WithTimeout(ctx, routePatience)
	defer cancel()
	if err := h.opts.Routes.AwaitRoute(rctx, s.ID, s.Generation, s.Instance); err != nil {
		if rctx.Err() == nil || ctx.Err() != nil { // not just late: this run will never be routed, or the hub ends
			return fmt.Errorf("wait for the route of %s: %w", s.ID, err)
		}
		h.journals.mention(s, 0, "The server answers, but discovery does not show it yet. Waiting.")
		return nil
	}
	failpoint("start.before-ready")
	s.State = Ready
	s, err := h.writeRun(ctx, w, o, s)
	if err != nil {
		return err
	}
	failpoint("start.after-ready")
	w.run.secret = ""
	h.activity.record("", s.ID, h.now())
	h.metrics.started(h.now().Sub(s.Started))
	h.tellEvent("start", s)
	h.log.InfoContext(ctx, "server ready", "user", s.UserName, "server", s.Name, "server_id", s.ID,
		"generation", s.Generation, "instance", s.Instance, "took", h.now().Sub(s.Started))
	h.wrote(w, s, 0, "")
	h.queue.poke()
	return nil
}

// fail gives a server up, and keeps what it said last while the scheduler still has it.
func (h *Hub) fail(ctx context.Context, s Server, f Failure) error {
	before := s.State
	f.Log, f.Time = h.lastLines(ctx, s.ID, f.Cause), h.now()
	f.blameDisk()
	if f.Cause == scheduler.CauseOutOfMemory {
		f.Message += h.peak(ctx, s)
	}
	if f.Cause == scheduler.CauseOutOfMemory || f.Cause == scheduler.CauseKilled {
		f.Offer = h.larger(ctx, s)
	}
	s.State, s.Failure, s.Wait = Stopping, &f, nil
	s, err := h.store.UpdateServer(ctx, s)
	if err != nil {
		return err
	}
	if before == Starting {
		h.metrics.failed(h.now().Sub(s.Started))
	}
	h.log.WarnContext(ctx, "server failed", "user", s.UserName, "server", s.Name, "server_id", s.ID,
		"generation", s.Generation, "reason", f.Message, "cause", f.Cause)
	h.journals.touch(s.ID)
	return nil
}

// larger are the options of a start with more of everything and the same files; nil: there is none that the owner may have.
func (h *Hub) larger(ctx context.Context, s Server) json.RawMessage {
	profiles := h.profilesNow()
	if profiles == nil {
		return nil
	}
	u, err := h.store.UserByID(ctx, s.UserID)
	if err != nil {
		h.log.WarnContext(ctx, "no larger profile could be looked for", "server_id", s.ID, "err", err)
		return nil
	}
	options, _ := profiles.Larger(profileUser(u), profileServer(s), s.Options)
	return options
}

// maxLogLine bounds a line of a failed server's log, in bytes: it is kept in the database and shown on a page.
const maxLogLine = 1000

// The pace of looking for a log's end: what a program prints goes to its log by way of another one, which may be a moment behind.
const (
	logStep     = 100 * time.Millisecond
	logPatience = time.Second
)

// lastLines is the end of what a server printed, as far as it can be had soon. Of one that ended by itself the last words matter most, and they are waited for.
func (h *Hub) lastLines(ctx context.Context, id string, cause scheduler.Cause) []string {
	tailer, ok := h.opts.Scheduler.(scheduler.LogTailer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	lines, err := tailer.LogTail(ctx, id, logTailLines)
	switch cause {
	case scheduler.CauseExited, scheduler.CauseOutOfMemory, scheduler.CauseKilled:
		for end := time.Now().Add(logPatience); err == nil && time.Now().Before(end); {
			sleep(ctx, logStep, nil)
			now, failed := tailer.LogTail(ctx, id, logTailLines)
			if failed != nil || len(now) > 0 && slices.Equal(now, lines) {
				break
			}
			lines = now
		}
	default: // it is not over, or never began
	}
	if err != nil && !errors.Is(err, scheduler.ErrNotFound) {
		h.log.WarnContext(ctx, "log of a failed server could not be read", "server_id", id, "err", err)
	}
	for i, line := range lines {
		if len(line) > maxLogLine {
			lines[i] = strings.ToValidUTF8(line[:maxLogLine], "") + "…"
		}
	}
	return lines
}
