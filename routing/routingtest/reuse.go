package routingtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/routing"
)

const reuseCycles = 1000

// testAddressReuse gives one address to a new server a thousand times, while the connections of the earlier ones stay open and
// their users go on asking. Nobody may ever get an answer of somebody else's server.
func testAddressReuse(t *testing.T, start StartProxy) {
	p := start(t, hub())
	address := freeAddress(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	ask := func(i int) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/user/u%d/x", p.URL, i), nil)
		if err != nil {
			return "", err
		}
		res, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	var background sync.WaitGroup
	defer background.Wait()
	for i := range reuseCycles {
		stop := listenAgain(t, address, fmt.Sprintf("nonce-%d.", i))
		p.SetRoutes(routing.Route{
			Prefix: fmt.Sprintf("/user/u%d/", i), Address: address, Server: fmt.Sprint("s", i), Generation: 1, Instance: "same", Placement: uint64(i + 1),
		})
		for range 2 { // the second one on a connection that was kept alive
			if got, err := ask(i); err != nil || got != fmt.Sprintf("nonce-%d.", i) {
				t.Fatalf("cycle %d: got %q, %v", i, got, err)
			}
		}
		background.Go(func() { // races with what follows
			if got, err := ask(i); err == nil && strings.HasPrefix(got, "nonce") && got != fmt.Sprintf("nonce-%d.", i) {
				t.Errorf("the user of server %d got %q", i, got)
			}
		})
		p.SetRoutes()
		stop()
	}
}

// listenAgain takes the address over. Ending it leaves its connections open and answering, as a process does that drains.
func listenAgain(t *testing.T, address, nonce string) (stop func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, nonce) })} //nolint:gosec // a test's server
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return func() { _ = l.Close() }
}
