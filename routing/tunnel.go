package routing

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// halfOpen is how long a tunnel lives on after one side has said that it will send nothing more.
const halfOpen = time.Minute

// tunnel carries bytes both ways between a browser and its server until either has gone.
//
// Thousands of websockets are idle at any time, so what an idle one holds is what counts: two goroutines, two descriptors, and no
// buffer. A buffer is taken from the pool when there are bytes, and given back when they are written.
// (io.Copy would hold 32 KiB for each direction, or a pipe with two more descriptors where it splices.)
type tunnel struct {
	client, server net.Conn
	sent, got      watcher // of what the client sends and gets
	buffers        *copyBuffers
}

// run returns when both directions have ended, and closes both connections.
func (t *tunnel) run() {
	defer t.close()
	var back sync.WaitGroup
	back.Go(func() { t.pump(t.client, t.server, &t.got) })
	t.pump(t.server, t.client, &t.sent)
	back.Wait()
}

func (t *tunnel) close() {
	_ = t.client.Close()
	_ = t.server.Close()
}

// pump carries one direction. A clean end is passed on, so that what the other side still has to say gets through; anything else
// ends both.
func (t *tunnel) pump(dst, src net.Conn, w *watcher) {
	err := carry(dst, src, w, t.buffers)
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		t.close()
		return
	}
	_ = dst.SetReadDeadline(time.Now().Add(halfOpen))
}

// carry copies until src ends (nil) or either side fails.
func carry(dst, src net.Conn, w *watcher, buffers *copyBuffers) error {
	read := readerOf(src, buffers)
	for {
		buf, n, err := read()
		if n > 0 {
			w.saw(buf[:n])
			_, writeErr := dst.Write(buf[:n])
			buffers.Put(buf)
			if writeErr != nil {
				return writeErr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readOnce returns the next bytes in a buffer that the caller gives back if n > 0.
type readOnce func() (buf []byte, n int, err error)

// readerOf waits for a plain connection without a buffer. Others (TLS) hide whether there are bytes; for these a small one waits.
func readerOf(src net.Conn, buffers *copyBuffers) readOnce {
	if conn, ok := src.(syscall.Conn); ok && readinessKnown {
		if raw, err := conn.SyscallConn(); err == nil {
			return func() ([]byte, int, error) { return readReady(raw, buffers) }
		}
	}
	small := make([]byte, 1<<10)
	return func() ([]byte, int, error) {
		n, err := src.Read(small)
		if n == 0 {
			return nil, 0, err
		}
		buf := buffers.Get()
		return buf, copy(buf, small[:n]), err
	}
}

// tunnels are the open ones. net/http forgets a connection once it is hijacked, so somebody else has to end it.
type tunnels struct {
	mu     sync.Mutex
	closed bool
	open   map[*tunnel]struct{}
	ended  sync.WaitGroup
}

// start runs the tunnel beside the caller and calls done when it has ended. It refuses after end.
func (ts *tunnels) start(t *tunnel, done func()) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return false
	}
	if ts.open == nil {
		ts.open = make(map[*tunnel]struct{})
	}
	ts.open[t] = struct{}{}
	ts.ended.Go(func() {
		t.run()
		ts.mu.Lock()
		delete(ts.open, t)
		ts.mu.Unlock()
		done()
	})
	return true
}

// end closes all tunnels and returns when they have ended.
func (ts *tunnels) end() {
	ts.mu.Lock()
	ts.closed = true
	for t := range ts.open {
		t.close()
	}
	ts.mu.Unlock()
	ts.ended.Wait()
}
