package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/scheduler"
)

// watcher follows one start over a socket of its own. When the connection breaks before the end it comes back to the next of the addresses, as a browser does.
type watcher struct {
	addresses []string // of hubs
	token     string
	first     *sync.WaitGroup // done once it was told something
	broke     *atomic.Int64
}

// follow returns the last event.
func (w watcher) follow(ctx context.Context, path string) (last map[string]any, err error) {
	told := sync.OnceFunc(w.first.Done)
	defer told()
	for i := 0; ctx.Err() == nil; i++ {
		if last, err = w.read(ctx, w.addresses[min(i, len(w.addresses)-1)]+"/hub/api"+path, told); err == nil {
			return last, nil
		}
		w.broke.Add(1)
	}
	return nil, fmt.Errorf("%w, lastly %w", ctx.Err(), err)
}

func (w watcher) read(ctx context.Context, url string, told func()) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "token "+w.token)
	alone := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: alone}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the stream of %s: %s", url, res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, err
		}
		if told(); e["ready"] == true || e["failed"] == true {
			return e, nil
		}
	}
	return nil, fmt.Errorf("the stream of %s ended too early: %w", url, lines.Err())
}

// TestF51_WatchersComeBackToAnotherHub: hundreds watch one start over sockets, half of them at a hub that dies, and some take nothing of what they are told. All the
// others see the end.
func TestF51_WatchersComeBackToAnotherHub(t *testing.T) {
	t.Parallel()
	const watchers, slow = 240, 10
	b := newBench(t)
	replica := b.Replica()
	a, err := api.New(api.Options{Hub: replica.Hub, Sessions: replica.Sessions, Logger: replica.Log, KeepAlive: soon})
	if err != nil {
		t.Fatal(err)
	}
	replica.Serve(a.Mount, nil)
	up := b.Fake.OnStart
	var placed sync.Once
	specs := make(chan scheduler.Spec, 1)
	b.Fake.OnStart = func(s scheduler.Spec) { placed.Do(func() { specs <- s }) }
	s, err := b.Hub.StartServer(t.Context(), "alice", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	spec := <-specs
	const path = "/users/alice/server/progress"
	for range slow {
		neverRead(t, replica.Public.Listener.Addr().String(), "/hub/api"+path, b.tokens["alice"])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*hubtest.Patience)
	defer cancel()
	var following, first sync.WaitGroup
	var broke, ready atomic.Int64
	first.Add(watchers)
	for i := range watchers {
		w := watcher{addresses: []string{replica.Public.URL}, token: b.tokens["alice"], first: &first, broke: &broke}
		if i%2 == 0 {
			w.addresses = []string{b.Public.URL, replica.Public.URL}
		}
		following.Go(func() {
			last, err := w.follow(ctx, path)
			if err != nil || last["ready"] != true {
				t.Errorf("watcher %d saw %v at the end, %v", i, last, err)
				return
			}
			ready.Add(1)
		})
	}
	first.Wait()
	b.Die()
	for i := range 1000 {
		replica.Fake.Say(spec.ID, fmt.Sprintf("Layer %d was fetched.", i))
	}
	up(spec)
	following.Wait()
	same(t, "who saw the end", ready.Load(), int64(watchers))
	if broke.Load() < watchers/2 {
		t.Errorf("only %d connections broke when a hub died", broke.Load())
	}
	if got, err := replica.Hub.Server(t.Context(), "alice", ""); err != nil || got.ID != s.ID || got.Generation != 1 {
		t.Errorf("the server is %+v, %v", got, err)
	}
}

// neverRead asks for a stream and takes nothing of it.
func neverRead(t *testing.T, address, path, token string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: token %s\r\n\r\n", path, address, token); err != nil {
		t.Fatal(err)
	}
}
