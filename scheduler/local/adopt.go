package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// findPatience is how long a process is looked for that is known to live, but is between its fork and its first instruction.
	findPatience = 5 * time.Second
	findEvery    = 10 * time.Millisecond
)

// adoptAll reads what earlier hubs left in the folder.
func (s *Scheduler) adoptAll() error {
	entries, err := os.ReadDir(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("local scheduler: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		folder := filepath.Join(s.opts.Dir, entry.Name())
		rec, err := loadRecord(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = removeFolder(folder)
		case err == nil:
			err = s.adopt(rec)
		}
		if err != nil {
			// Refusing to begin is better than running the same server a second time beside one that was overlooked.
			return fmt.Errorf("local scheduler: adopt what %s tells of: %w", folder, err)
		}
	}
	return nil
}

// adopt takes over one server from an earlier hub.
func (s *Scheduler) adopt(rec record) error {
	srv := &server{ended: make(chan struct{}), rec: rec}
	s.lastPlacement = max(s.lastPlacement, rec.Placement)
	if rec.Phase == phaseDead {
		close(srv.ended)
		s.enlist(srv)
		return nil
	}
	if rec.BootID != s.bootID {
		return s.bury(srv, exit{rebooted: true})
	}
	if rec.Phase == phaseStarting {
		found, err := s.findStarted(srv)
		if err != nil {
			return err
		}
		if !found {
			// The hub died before it made a process. Nothing ran, so the server is unknown again and whoever wanted it asks again.
			s.log.Info("server was never started", "server_id", rec.ID, "generation", rec.Generation)
			return removeFolder(s.folder(rec.ID))
		}
	}
	proc, err := holdKnown(srv.rec.PID, srv.rec.StartTicks, srv.rec.Marker, s.aliveness(srv.rec.ID))
	if errors.Is(err, errGone) {
		return s.bury(srv, exit{away: true})
	}
	if err != nil {
		return err
	}
	srv.proc = proc
	s.enlist(srv)
	s.follow(srv, nil)
	s.log.Info("server adopted", "server_id", rec.ID, "generation", rec.Generation, "pid", proc.pid, "address", rec.Address)
	return nil
}

func (s *Scheduler) enlist(srv *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers[srv.rec.ID] = srv
}

// bury records a server that ended while no hub was looking.
func (s *Scheduler) bury(srv *server, end exit) error {
	if !end.rebooted {
		s.sweep(srv)
	}
	end.portTaken = !end.rebooted && saysPortTaken(s.folder(srv.rec.ID), srv.rec.Address)
	srv.rec.Phase, srv.rec.Reason, srv.rec.Cause, srv.rec.EndedAt = phaseDead, end.sentence(), end.cause(), time.Now().UTC()
	close(srv.ended)
	s.enlist(srv)
	s.log.Info("server ended while the hub was away", "server_id", srv.rec.ID, "generation", srv.rec.Generation, "reason", srv.rec.Reason)
	return srv.rec.save(s.folder(srv.rec.ID))
}

// findStarted finds the process of a server whose record was written before its process was made: false if none was.
func (s *Scheduler) findStarted(srv *server) (bool, error) {
	folder := s.folder(srv.rec.ID)
	deadline := time.Now().Add(findPatience)
	for {
		pid, ticks, err := leader(srv.rec.Marker)
		if err == nil {
			srv.rec.Phase, srv.rec.PID, srv.rec.StartTicks = phaseRunning, pid, ticks
			return true, srv.rec.save(folder)
		}
		if !errors.Is(err, errGone) {
			return false, err
		}
		alive, err := isAlive(folder)
		if err != nil {
			return false, err
		}
		if !alive || time.Now().After(deadline) {
			// Either no process was made, or it has ended and at most children of it are left, which have the marker.
			s.sweep(srv)
			return false, nil
		}
		<-time.After(findEvery)
	}
}
