package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// markerVariable is the environment variable by which a server's processes are recognised. Children inherit it.
const markerVariable = "NOMADHUB_SERVER_MARKER"

// errGone says that a process has ended, or that its ID belongs to another one now.
var errGone = errors.New("the process is gone")

// pollEvery is how often a process is looked at on kernels that cannot tell its end (before Linux 5.3).
const pollEvery = 250 * time.Millisecond

// process is a running server's first process, held so that signals cannot hit another one.
type process struct {
	pid    int
	ticks  uint64 // start time
	marker string
	alive  func() bool // whether the file that the process inherited is still held; may be nil
	fd     *os.File    // process file descriptor; nil if the kernel has none

	once     sync.Once
	released chan struct{}
}

// holdChild holds a process that this process has just made and not yet waited for, so that its ID cannot have gone to another.
func holdChild(pid int, marker string, alive func() bool) (*process, error) {
	stat, err := readStat(pid)
	if err != nil {
		return nil, fmt.Errorf("look at the new process %d: %w", pid, err)
	}
	fd, err := openPidfd(pid)
	if err != nil {
		return nil, err
	}
	return &process{pid: pid, ticks: stat.ticks, marker: marker, alive: alive, fd: fd, released: make(chan struct{})}, nil
}

// holdKnown holds a process that was made by an earlier hub, or fails with errGone.
func holdKnown(pid int, ticks uint64, marker string, alive func() bool) (*process, error) {
	// First the descriptor, then the proof: what is proven afterwards is true of the process that the descriptor means.
	fd, err := openPidfd(pid)
	if err != nil {
		return nil, err
	}
	p := &process{pid: pid, ticks: ticks, marker: marker, alive: alive, fd: fd, released: make(chan struct{})}
	if !p.isSame() {
		p.release()
		return nil, errGone
	}
	return p, nil
}

// openPidfd opens a process file descriptor; nil without error if the kernel has none.
func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid)), nil
	case errors.Is(err, unix.ESRCH):
		return nil, errGone
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL): // before Linux 5.3; before 5.10
		return nil, nil
	default:
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
}

// isSame tells whether the process is there and is the one that was meant. The held file vouches for a process whose marker cannot
// be read: for a moment while it turns into another program (exec), or for good if it writes its title over its environment.
func (p *process) isSame() bool {
	stat, err := readStat(p.pid)
	if err != nil || stat.ended() || stat.ticks != p.ticks {
		return false
	}
	return hasMarker(p.pid, p.marker) || p.alive != nil && p.alive()
}

// signal sends a signal to this process and to no other. A process that has ended takes any signal.
func (p *process) signal(sig unix.Signal) error {
	if p.fd == nil {
		if !p.isSame() {
			return nil
		}
		return ignoreGone(unix.Kill(p.pid, sig))
	}
	conn, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	return errors.Join(err, ignoreGone(sent))
}

// killSession kills the process group that the process leads. The caller knows that the process still exists, if only as one that
// nobody has waited for: until then its ID, which is the group's too, cannot go to another.
func (p *process) killSession() error { return ignoreGone(unix.Kill(-p.pid, unix.SIGKILL)) }

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// wait returns nil when the process has ended, calling tick now and then until it does, or [os.ErrClosed] after release.
func (p *process) wait(every time.Duration, tick func()) error {
	if p.fd == nil {
		return p.waitPolling(every, tick)
	}
	conn, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	for {
		if err := p.fd.SetReadDeadline(time.Now().Add(every)); err != nil {
			return err
		}
		err := conn.Read(func(fd uintptr) bool { // false parks this goroutine, without a thread, until the descriptor stirs
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // G115: a file descriptor fits
			return err == nil && n > 0
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		tick()
	}
}

func (p *process) waitPolling(every time.Duration, tick func()) error {
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	last := time.Now()
	for {
		select {
		case <-p.released:
			return os.ErrClosed
		case now := <-look.C:
			if !p.isSame() {
				return nil
			}
			if now.Sub(last) >= every {
				last = now
				tick()
			}
		}
	}
}

// release lets go of the process; it goes on.
func (p *process) release() {
	p.once.Do(func() {
		close(p.released)
		if p.fd != nil {
			_ = p.fd.Close()
		}
	})
}

// procStat is what we read of /proc/PID/stat.
type procStat struct {
	state   byte
	session int
	ticks   uint64
}

// ended is true for a process that nobody has waited for yet, or that is just being removed.
func (s procStat) ended() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(text)
}

// parseStat reads the fields after the command's name, which is in parentheses and may hold spaces and parentheses itself.
func parseStat(text []byte) (procStat, error) {
	const state, session, start = 0, 3, 19 // positions after the name
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return procStat{}, fmt.Errorf("unknown form of process status: %q", text)
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) <= start {
		return procStat{}, fmt.Errorf("unknown form of process status: %q", text)
	}
	sid, err := strconv.Atoi(string(fields[session]))
	if err != nil {
		return procStat{}, fmt.Errorf("session in process status: %w", err)
	}
	ticks, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("start time in process status: %w", err)
	}
	return procStat{state: fields[state][0], session: sid, ticks: ticks}, nil
}

// hasMarker tells whether the process has the marker in the environment that it was started with.
func hasMarker(pid int, marker string) bool {
	environ, err := os.ReadFile(procPath(pid, "environ"))
	if err != nil {
		return false
	}
	want := []byte(markerVariable + "=" + marker)
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(entry, want) {
			return true
		}
	}
	return false
}

// marked returns the IDs of all living processes that have the marker.
func marked(marker string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && hasMarker(pid, marker) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killMarked kills all processes that have the marker and returns how many there were.
func killMarked(marker string) (int, error) {
	pids, err := marked(marker)
	if err != nil {
		return 0, err
	}
	var problems []error
	for _, pid := range pids {
		stat, err := readStat(pid)
		if err != nil {
			continue // it has just ended
		}
		p, err := holdKnown(pid, stat.ticks, marker, nil)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		problems = append(problems, p.signal(unix.SIGKILL))
		p.release()
	}
	return len(pids), errors.Join(problems...)
}

// leader returns the process that has the marker and leads a session, which is how every server begins; errGone if there is none.
func leader(marker string) (pid int, ticks uint64, err error) {
	pids, err := marked(marker)
	if err != nil {
		return 0, 0, err
	}
	for _, pid := range pids {
		if stat, err := readStat(pid); err == nil && stat.session == pid && !stat.ended() {
			return pid, stat.ticks, nil
		}
	}
	return 0, 0, errGone
}

// readBootID names this run of the machine: process IDs and ticks mean nothing across boots.
func readBootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // some sandboxes have none; start time and marker still tell processes apart
	}
	return string(bytes.TrimSpace(text)), err
}

func procPath(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
