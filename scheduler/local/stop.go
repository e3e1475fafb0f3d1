package local

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// killEvery is how often a server that was killed and has not ended is killed again: it may have made new processes.
const killEvery = time.Second

// Stop implements [scheduler.Scheduler]. It sends SIGINT, then SIGTERM, then SIGKILL, with the graces of [Options] between them; a Spec may
// name another first signal and its grace. A
// repeated Stop goes on where the last one was.
func (s *Scheduler) Stop(ctx context.Context, id string, generation int64) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	unlock, err := s.starting.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.check(ctx); err != nil {
		return err
	}
	srv := s.lookup(id)
	if srv == nil || srv.rec.Generation > generation {
		return nil
	}
	return s.end(ctx, srv)
}

// end brings a server down and removes what it left. The caller holds the lock of its ID.
func (s *Scheduler) end(ctx context.Context, srv *server) error {
	if err := s.bringDown(ctx, srv); err != nil {
		return err
	}
	return s.forget(srv)
}

// escalation is how far the way from asking to killing has been gone.
type escalation struct {
	due  time.Time // when to send the next signal; zero before the first
	sent int
}

// next returns the signal to send now, or 0, and when to look again. It is called with the time only, so it can be tried without waiting.
func (e *escalation) next(now time.Time, m manners) (unix.Signal, time.Time) {
	if now.Before(e.due) {
		return 0, e.due
	}
	e.sent++
	switch e.sent {
	case 1:
		e.due = now.Add(m.patience)
		return m.first, e.due
	case 2:
		e.due = now.Add(m.terminate)
		return unix.SIGTERM, e.due
	default:
		e.due = now.Add(killEvery)
		return unix.SIGKILL, e.due
	}
}

// killed tells whether the server was no longer asked but killed.
func (e *escalation) killed() bool { return e.sent > 2 }

// bringDown signals until the server has ended.
func (s *Scheduler) bringDown(ctx context.Context, srv *server) error {
	for {
		select {
		case <-srv.ended: // do not signal what has ended by itself
			return nil
		default:
		}
		s.mu.Lock()
		srv.stopping = true
		sig, again := srv.stop.next(time.Now(), s.manners(srv.rec))
		s.mu.Unlock()
		if err := srv.signal(sig); err != nil {
			s.log.Warn("signal to server failed", "server_id", srv.rec.ID, "signal", unix.SignalName(sig), "err", err)
		}
		timer := time.NewTimer(time.Until(again))
		select {
		case <-srv.ended:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-s.closed:
			timer.Stop()
			return s.check(ctx)
		}
		timer.Stop()
	}
}

// signal asks the server's first process, which ends its children in an orderly way, or kills all of them.
func (srv *server) signal(sig unix.Signal) error {
	switch {
	case sig == 0:
		return nil
	case sig != unix.SIGKILL:
		return srv.proc.signal(sig)
	}
	var session error
	if srv.proc.isSame() {
		session = srv.proc.killSession()
	}
	_, rest := killMarked(srv.proc.marker)
	return errors.Join(session, srv.proc.signal(sig), rest)
}
