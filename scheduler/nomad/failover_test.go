package nomad_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

func failover(t *testing.T, addresses ...string) *nomad.Failover {
	t.Helper()
	f, err := nomad.NewFailover(&http.Transport{DisableKeepAlives: true}, addresses, "own", nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// listed is a server that counts its requests and answers as told.
func listed(t *testing.T, answer func(http.ResponseWriter, *http.Request)) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func echo(w http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Host, text)
}

// nobody is an address at which nobody listens.
const nobody = "http://127.0.0.1:1"

func ask(t *testing.T, f *nomad.Failover, method, target, body string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://hub.invalid"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: f}).Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(text)), err
}

func TestFailoverSticksToWhatServes(t *testing.T) {
	t.Parallel()
	good, asked := listed(t, echo)
	other, others := listed(t, echo)
	f := failover(t, nobody, good, other)
	want := "200 PUT /v1/jobs?region=x " + strings.TrimPrefix(good, "http://") + " the job"
	for range 3 {
		if got, err := ask(t, f, http.MethodPut, "/v1/jobs?region=x", "the job"); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if asked.Load() != 3 || others.Load() != 0 || f.Addresses()[0] != good {
		t.Errorf("asked %d and %d times, and uses %q", asked.Load(), others.Load(), f.Addresses())
	}
}

// TestFailoverSendsNothingTwice: whether the server that broke off did what it was told, nobody knows.
func TestFailoverSendsNothingTwice(t *testing.T) {
	t.Parallel()
	broken, asked := listed(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	good, goods := listed(t, echo)
	f := failover(t, broken, good)
	if got, err := ask(t, f, http.MethodPut, "/v1/jobs", "x"); err == nil || goods.Load() != 0 {
		t.Errorf("a write was sent again: %q", got)
	}
	if _, err := ask(t, f, http.MethodPut, "/v1/jobs", "x"); err != nil || asked.Load() != 1 || goods.Load() != 1 {
		t.Errorf("the next one: %v; asked %d and %d times", err, asked.Load(), goods.Load())
	}
	f = failover(t, broken, good)
	if _, err := ask(t, f, http.MethodGet, "/v1/jobs", ""); err != nil || goods.Load() != 2 {
		t.Errorf("what only reads was not sent again: %v", err)
	}
}

func TestFailoverLeavesAServerWithoutLeader(t *testing.T) {
	t.Parallel()
	alone, asked := listed(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
	})
	good, _ := listed(t, echo)
	f := failover(t, alone, good)
	if got, err := ask(t, f, http.MethodPut, "/v1/jobs", "x"); err != nil || !strings.HasPrefix(got, "200 ") {
		t.Errorf("got %q, %v", got, err)
	}
	f = failover(t, alone, alone)
	if got, err := ask(t, f, http.MethodGet, "/v1/jobs", ""); err != nil || got != "500 No cluster leader\n" || asked.Load() != 3 {
		t.Errorf("got %q, %v after %d requests", got, err, asked.Load())
	}
	wrong, _ := listed(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "1 error occurred", http.StatusInternalServerError)
	})
	f = failover(t, wrong, good)
	if got, err := ask(t, f, http.MethodGet, "/v1/jobs", ""); err != nil || got != "500 1 error occurred\n" || f.Addresses()[0] != wrong {
		t.Errorf("another error: %q, %v", got, err)
	}
}

// TestFailoverLeavesAFrozenServer runs out of time. Who waits long by nature, or hangs up, blames nobody.
func TestFailoverLeavesAFrozenServer(t *testing.T) {
	t.Parallel()
	frozen, _ := listed(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	good, _ := listed(t, echo)
	f := failover(t, frozen, good)
	for _, test := range []struct {
		target string
		end    func() (context.Context, context.CancelFunc)
		uses   string
	}{
		{"/v1/jobs?index=3", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Millisecond)
		}, frozen},
		{"/v1/jobs", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			return ctx, cancel
		}, frozen},
		{"/v1/jobs", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), time.Millisecond)
		}, good},
	} {
		ctx, cancel := test.end()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x"+test.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := f.RoundTrip(r); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s was answered", test.target)
		}
		cancel()
		if f.Addresses()[0] != test.uses {
			t.Errorf("after %s it uses %q", test.target, f.Addresses())
		}
	}
}

func TestFailoverRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	for _, addresses := range [][]string{nil, {"127.0.0.1:4646"}, {"unix:///x"}, {"http://a", "https://"}, {"http://a/path"}} {
		if _, err := nomad.NewFailover(http.DefaultTransport, addresses, "", nil); err == nil {
			t.Errorf("%q was taken", addresses)
		}
	}
}

// TestF08SeveralAddresses kills the server that the hub talks to, of three. The hub goes on with another.
func TestF08SeveralAddresses(t *testing.T) {
	t.Parallel()
	agents := startAgents(t, 3)
	var addresses []string
	for _, a := range agents {
		addresses = append(addresses, a.address)
	}
	f := failover(t, addresses...)
	c, err := api.NewClient(&api.Config{Address: addresses[0], Namespace: namespace, HttpClient: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, nomad.Options{
		Client: c, Namespace: namespace, Jobspec: notebookJobspec(t), JobPrefix: "notebook-",
		Variables: map[string]string{"command": "/bin/true", "service_provider": "nomad"},
	})
	start := func(id string) {
		t.Helper()
		await(t, id+" is accepted", func() error { return s.Start(t.Context(), scheduler.Spec{ID: id, Generation: 1}) })
	}
	heard := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event, err := range s.Watch(ctx) {
			switch {
			case err != nil:
				t.Logf("watch: %v", err)
			case event.Resync:
				heard <- "resync"
			case event.ID != "":
				heard <- event.ID
			}
		}
	}()
	awaitHeard := func(what string) {
		t.Helper()
		late := time.After(2 * time.Minute)
		for {
			select {
			case got := <-heard:
				if got == what {
					return
				}
			case <-late:
				t.Fatalf("nothing was heard of %s", what)
			}
		}
	}
	awaitHeard("resync")
	start("a")
	awaitHeard("a")
	agents[0].kill()
	awaitHeard("resync")
	start("b")
	awaitHeard("b")
	all, err := s.List(t.Context())
	if err != nil || len(all) != 2 || f.Addresses()[0] == addresses[0] {
		t.Errorf("listed %+v, %v by %q", all, err, f.Addresses())
	}
	for _, id := range []string{"a", "b"} {
		if err := s.Stop(t.Context(), id, 1); err != nil {
			t.Error(err)
		}
	}
	cancel()
	<-done
	if after := f.Addresses(); slices.Index(after, addresses[0]) == 0 {
		t.Errorf("in the end it uses %q", after)
	}
}
