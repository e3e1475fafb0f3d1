package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// record is what state.json holds of a server. It holds no secret and nothing of the environment.
type record struct {
	ID         string            `json:"id"`
	Generation int64             `json:"generation"`
	Labels     map[string]string `json:"labels,omitempty"` // for an operator who looks at the file
	Phase      phase             `json:"phase"`
	Marker     string            `json:"marker"`
	BootID     string            `json:"boot_id"`
	PID        int               `json:"pid,omitempty"`
	StartTicks uint64            `json:"start_ticks,omitempty"` // when the process started, in the kernel's ticks since boot
	Address    string            `json:"address"`
	Placement  uint64            `json:"placement"`
	Reason     string            `json:"reason,omitempty"`
	Cause      scheduler.Cause   `json:"cause,omitempty"`
	StartedAt  time.Time         `json:"started_at"`
	EndedAt    time.Time         `json:"ended_at,omitzero"`
	// How the server is asked to end, where its profile says so.
	StopSignal  string        `json:"stop_signal,omitempty"`
	StopTimeout time.Duration `json:"stop_timeout,omitempty"` // nanoseconds
}

// phase is how far a server's process has come, as far as the record knows.
type phase string

const (
	phaseStarting phase = "starting" // a process is about to be made, or was just made
	phaseRunning  phase = "running"  // the process is known
	phaseDead     phase = "dead"     // it has ended
)

func (r record) status() scheduler.Status {
	status := scheduler.Status{
		ID: r.ID, Generation: r.Generation, State: scheduler.Pending,
		Address: r.Address, Placement: r.Placement, Reason: r.Reason, Cause: r.Cause,
		Began: r.StartedAt.Round(0).UTC(), Ended: r.EndedAt.Round(0).UTC(),
	}
	switch r.Phase {
	case phaseStarting:
	case phaseRunning:
		status.State = scheduler.Running
	case phaseDead:
		status.State = scheduler.Dead
	}
	if r.PID != 0 {
		status.Instance = fmt.Sprintf("%d-%d", r.PID, r.StartTicks)
	}
	return status
}

const (
	recordName = "state.json"
	aliveName  = "alive"
	logName    = "log"
	oldLogName = "log.1"
)

func (s *Scheduler) folder(id string) string { return filepath.Join(s.opts.Dir, id) }

// save writes the record so that a crash at any point leaves the old one or the new one.
func (r record) save(folder string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	next := filepath.Join(folder, recordName+".new")
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the record of server %s: %w", r.ID, err)
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the record of server %s: %w", r.ID, err)
	}
	return os.Rename(next, filepath.Join(folder, recordName))
}

// loadRecord reads a server's record. A folder without one matches [fs.ErrNotExist]: no process was ever made for it, or none is left.
func loadRecord(folder string) (record, error) {
	var r record
	text, err := os.ReadFile(filepath.Join(folder, recordName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", filepath.Join(folder, recordName), err)
	}
	if r.ID != filepath.Base(folder) || r.Marker == "" {
		return r, fmt.Errorf("%s is not the record of server %s", filepath.Join(folder, recordName), filepath.Base(folder))
	}
	return r, nil
}

// removeFolder removes a server's folder, the record first: without it, what is left is known to be rubbish.
func removeFolder(folder string) error {
	if err := os.Remove(filepath.Join(folder, recordName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(folder)
}
