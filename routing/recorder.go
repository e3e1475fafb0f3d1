package routing

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// recorder remembers the final status. Everything optional is reached through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int // 0: none was sent
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // the others of 1xx come before the answer
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// clientBody is what the client sends. It stamps activity, and tells a client that breaks off from a server that does.
type clientBody struct {
	io.ReadCloser
	activity *stamp
	failed   atomic.Bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.activity.now()
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.failed.Store(true)
	}
	return n, err
}

func (b *clientBody) broken() bool { return b.failed.Load() }
