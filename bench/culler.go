package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/internal/pyenv"
)

// target is a hub, ours or the stock one, that is asked through its API.
type target struct {
	url   string
	token string
	*child
}

// cullerPass is one look of jupyterhub-idle-culler at all servers that are ready.
type cullerPass struct {
	took    float64 // ms, the culler's own work included
	cpu     float64 // ms of the hub
	longest float64 // ms of the slowest answer
}

func (p *cullerPass) report(r *recorder, k func(operation, name, unit string) key, subject string, in round) {
	if p == nil {
		return
	}
	r.add(k("O16", "stock_culler", "ms"), subject, in, p.took)
	r.add(k("O16", "stock_culler_cpu", "ms"), subject, in, p.cpu)
	r.add(k("O16", "stock_culler_slowest_answer", "ms"), subject, in, p.longest)
}

const (
	cullerPage     = 200 // users
	cullerPatience = 5 * time.Minute
	// cullerQuiet is after how long without a request the culler has seen all pages.
	cullerQuiet = 2 * time.Second
)

// cullerPass has the stock culler look at all servers of a hub once, of which there are so many. nil and no error: the culler is not on this machine.
func (r *run) cullerPass(ctx context.Context, dir string, hub target, servers int) (*cullerPass, error) {
	env, err := pyenv.Find(ctx, pyenv.Options{Name: "culler"})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // every peer is optional
	}
	if err != nil {
		return nil, err
	}
	w, err := watchRequests(ctx, hub.url)
	if err != nil {
		return nil, err
	}
	defer w.close()
	before, err := cpuTime(hub.pid())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	culler, err := spawn(dir, program{
		name: "culler-" + strconv.Itoa(hub.pid()), core: coreForRest, path: env.Program("jupyterhub-idle-culler"),
		args: []string{"--timeout=8640000", "--cull-every=86400", "--api-page-size=" + strconv.Itoa(cullerPage)},
		env:  []string{"JUPYTERHUB_API_URL=" + w.url + "/hub/api", "JUPYTERHUB_API_TOKEN=" + hub.token},
	})
	if err != nil {
		return nil, err
	}
	defer culler.kill()
	err = culler.await(ctx, cullerPatience, func(context.Context) error { return w.finished(1 + (servers+cullerPage-1)/cullerPage) })
	if err == nil && w.refused > 0 {
		err = fmt.Errorf("the culler was refused; its log is %s", culler.log)
	}
	if err != nil {
		return nil, err
	}
	after, err := cpuTime(hub.pid())
	if err != nil {
		return nil, err
	}
	return &cullerPass{took: milliseconds(w.last.Sub(began)), cpu: milliseconds(after - before), longest: milliseconds(w.longest)}, nil
}

// watched is a proxy that knows when requests came and were answered.
type watched struct {
	url    string
	server *http.Server

	mu       sync.Mutex
	open     int
	answered int
	refused  int // answers that were errors
	last     time.Time
	longest  time.Duration
}

func watchRequests(ctx context.Context, to string) (*watched, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &watched{url: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { // the name by which it was asked stays, so that the next page is asked for here too
			p.Out.URL.Scheme, p.Out.URL.Host = u.Scheme, u.Host
		},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode >= http.StatusBadRequest {
				w.mu.Lock()
				w.refused++
				w.mu.Unlock()
			}
			return nil
		},
	}
	w.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		began := w.began()
		proxy.ServeHTTP(res, req)
		w.ended(began)
	})}
	go func() {
		if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "bench: proxy for the culler:", err)
		}
	}()
	return w, nil
}

func (w *watched) close() { _ = w.server.Close() }

func (w *watched) began() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return time.Now()
}

func (w *watched) ended(began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
	w.answered++
	w.last = time.Now()
	w.longest = max(w.longest, w.last.Sub(began))
}

// finished is nil when so many requests at least, and all that came, were answered some time ago.
func (w *watched) finished(least int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.refused > 0:
		return nil // there is nothing more to wait for
	case w.answered < least || w.open > 0 || time.Since(w.last) < cullerQuiet:
		return fmt.Errorf("%d requests were answered, %d are open", w.answered, w.open)
	}
	return nil
}
