package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// lookForMoreEvery is how often a log that is followed is looked at.
const lookForMoreEvery = 200 * time.Millisecond

// Log implements [scheduler.LogReader]. Output and errors go to one file in the order in which they were printed, so both questions have the same
// answer. What was moved aside once is read as well.
func (s *Scheduler) Log(ctx context.Context, id string, q scheduler.LogQuery) (io.ReadCloser, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	srv := s.lookup(id)
	if srv == nil {
		return nil, scheduler.ErrNotFound
	}
	folder := s.folder(id)
	current, err := os.Open(filepath.Join(folder, logName))
	if errors.Is(err, fs.ErrNotExist) { // it is being stopped, or was not begun
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, err
	}
	r := &logReader{ctx: ctx, current: current, follow: q.Follow, ended: srv.ended, closed: make(chan struct{})}
	if err := r.begin(filepath.Join(folder, oldLogName), q.Tail); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// logReader reads what was moved aside, then the log from there on.
type logReader struct {
	ctx     context.Context //nolint:containedctx // reading waits, and io.Reader takes none
	old     *os.File        // nil: there is none, or it was read
	current *os.File
	at      int64 // in current
	end     int64 // of current when it was opened; without follow nothing after it is read
	follow  bool
	ended   <-chan struct{}

	once   sync.Once
	closed chan struct{}
}

// begin finds where the last bytes begin; with tail 0 that is the beginning.
func (r *logReader) begin(oldPath string, tail int64) error {
	info, err := r.current.Stat()
	if err != nil {
		return err
	}
	r.end = info.Size()
	if tail > 0 && r.end >= tail {
		r.at = r.end - tail
		return nil
	}
	r.old, err = os.Open(oldPath)
	if errors.Is(err, fs.ErrNotExist) {
		r.old = nil
		return nil
	}
	if err != nil || tail == 0 {
		return err
	}
	if info, err = r.old.Stat(); err != nil {
		return err
	}
	_, err = r.old.Seek(max(0, info.Size()-(tail-r.end)), io.SeekStart)
	return err
}

// Read implements io.Reader. Where the log is followed, it waits until there is more, the server has ended, or the context has.
func (r *logReader) Read(p []byte) (int, error) {
	if r.old != nil {
		n, err := r.old.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		_ = r.old.Close()
		r.old = nil
	}
	if !r.follow {
		p = p[:min(int64(len(p)), max(0, r.end-r.at))]
		if len(p) == 0 {
			return 0, io.EOF
		}
		return r.more(p)
	}
	for {
		over := isOver(r.ended) // before the look: what comes after the end is nothing
		n, err := r.more(p)
		if n > 0 || !errors.Is(err, io.EOF) || over {
			return n, err
		}
		if err := r.pause(); err != nil {
			return 0, err
		}
	}
}

// more reads on. A log that became shorter was moved aside and began anew.
func (r *logReader) more(p []byte) (int, error) {
	n, err := r.current.ReadAt(p, r.at)
	if n > 0 {
		r.at += int64(n)
		return n, nil
	}
	if info, serr := r.current.Stat(); serr == nil && info.Size() < r.at {
		r.at = 0
	}
	return 0, err
}

func (r *logReader) pause() error {
	timer := time.NewTimer(lookForMoreEvery)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case <-r.closed:
		return os.ErrClosed
	case <-r.ended:
	case <-timer.C:
	}
	return nil
}

// Close implements io.Closer and ends a Read that waits.
func (r *logReader) Close() error {
	var err error
	r.once.Do(func() {
		close(r.closed)
		err = r.current.Close()
	})
	return err
}

func isOver(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
