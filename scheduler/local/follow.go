package local

import (
	"os/exec"
	"time"
)

const (
	lookAtLogEvery = 2 * time.Second
	sweepEvery     = 20 * time.Millisecond
	// sweepTwice: a process that is just turning into another program shows no marker for a moment, so one look is not enough.
	sweepTwice = 2
)

// follow waits in the background for the server's end. cmd is nil for a process that is not this one's child.
func (s *Scheduler) follow(srv *server, cmd *exec.Cmd) {
	folder := s.folder(srv.rec.ID)
	s.follows.Go(func() {
		defer srv.proc.release()
		err := srv.proc.wait(lookAtLogEvery, func() {
			if err := boundLog(folder, s.opts.LogBytes); err != nil {
				s.log.Warn("server log could not be bounded", "server_id", srv.rec.ID, "err", err)
			}
		})
		if err != nil {
			if !s.isClosed() {
				s.log.Error("server cannot be followed", "server_id", srv.rec.ID, "err", err)
			}
			return
		}
		end := exitUnknown
		if cmd != nil {
			// The rest of its process group goes with it. Before Wait: until then the group's ID cannot be anybody else's.
			if err := srv.proc.killSession(); err != nil {
				s.log.Warn("processes of an ended server could not be killed", "server_id", srv.rec.ID, "err", err)
			}
			_ = cmd.Wait() // its error only repeats the state
			end = exitOf(cmd.ProcessState)
		}
		s.finish(srv, end)
	})
}

// finish records the end of a server when nothing of it is left.
func (s *Scheduler) finish(srv *server, end exit) {
	if !s.sweep(srv) {
		return
	}
	s.mu.Lock()
	end.asked, end.forced = srv.stopping, srv.stop.killed()
	s.mu.Unlock()
	if !end.asked {
		end.portTaken = saysPortTaken(s.folder(srv.rec.ID), srv.rec.Address)
	}
	reason := end.sentence()
	err := s.update(srv, reason, func(srv *server) {
		srv.rec.Phase, srv.rec.Reason, srv.rec.Cause, srv.rec.EndedAt = phaseDead, reason, end.cause(), time.Now().UTC()
	})
	if err != nil { // harmless: a restarted hub finds out again that the process is gone
		s.log.Warn("record of an ended server could not be written", "server_id", srv.rec.ID, "err", err)
	}
	srv.port.release()
	close(srv.ended)
	s.log.Info("server ended", "server_id", srv.rec.ID, "generation", srv.rec.Generation, "reason", reason)
}

// sweep kills what the server's first process left behind: kernels, terminals and what they started. It returns false if the
// Scheduler was closed meanwhile; the next one goes on.
func (s *Scheduler) sweep(srv *server) bool {
	again := time.NewTicker(sweepEvery)
	defer again.Stop()
	for clean := 0; ; {
		n, err := killMarked(srv.rec.Marker)
		if err != nil {
			s.log.Warn("processes of an ended server could not be killed", "server_id", srv.rec.ID, "err", err)
		}
		if clean++; n > 0 || err != nil {
			clean = 0
		}
		if clean == sweepTwice {
			return true
		}
		select {
		case <-s.closed:
			return false
		case <-again.C:
		}
	}
}
