package api_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// manyUsers is how many there are while one request is repeated.
const (
	manyUsers = 10_000
	// runningServers are more than a page of them holds.
	runningServers = 300
)

// BenchmarkRequests is what the API's most frequent requests take of the processor, from the router to the last byte, without the network.
func BenchmarkRequests(b *testing.B) {
	h := hubtest.New(b)
	a, err := api.New(api.Options{Hub: h.Hub, Sessions: h.Sessions, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	h.Acts = api.Acts()
	h.Serve(a.Mount, nil)
	token := h.Token(h.User("root", true))
	fillUsers(b, h)
	benchRequests(b, h, token, "none")
	startServers(b, h, token)
	benchRequests(b, h, token, "some")
}

func benchRequests(b *testing.B, h *hubtest.Bench, token, name string) {
	b.Helper()
	for _, test := range []struct{ name, method, path, body string }{
		{"token", http.MethodGet, "/user", ""},
		{"one_user", http.MethodGet, "/users/user00042", ""},
		{"page", http.MethodGet, "/users?limit=200", ""},
		{"far", http.MethodGet, "/users?limit=200&offset=9000", ""},
		{"ready", http.MethodGet, "/users?limit=200&state=ready", ""},
		{"filter", http.MethodGet, "/users?limit=200&name_filter=user0050", ""},
		{"activity", http.MethodPost, "/users/user00042/activity", `{"last_activity": "` + time.Now().UTC().Format(time.RFC3339) + `"}`},
	} {
		b.Run(name+"/"+test.name, func(b *testing.B) {
			b.ReportAllocs()
			began := cputime.Used(b)
			for b.Loop() {
				if code := request(b, h, token, test.method, test.path, test.body); code != http.StatusOK {
					b.Fatal(code)
				}
			}
			b.ReportMetric(float64((cputime.Used(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func userNumber(i int) string { return fmt.Sprintf("user%05d", i) }

func fillUsers(b *testing.B, h *hubtest.Bench) {
	b.Helper()
	now := time.Now().UTC()
	err := h.Store.InTx(b.Context(), func(tx hub.Store) error {
		for i := range manyUsers {
			u := hub.User{ID: fmt.Sprintf("0000-%05d", i), Name: userNumber(i), Created: now, LastActivity: now}
			if err := tx.CreateUser(b.Context(), u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// startServers starts the servers of the first users, as scripts do.
func startServers(b *testing.B, h *hubtest.Bench, token string) {
	b.Helper()
	for i := range runningServers {
		if code := request(b, h, token, http.MethodPost, "/users/"+userNumber(i)+"/server", ""); code != http.StatusCreated {
			b.Fatal(code)
		}
	}
}

// request puts a request to the API and returns the status of its answer, of which nothing is kept.
func request(b *testing.B, h *hubtest.Bench, token, method, path, body string) int {
	b.Helper()
	req := httptest.NewRequestWithContext(b.Context(), method, "/hub/api"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "token "+token)
	res := httptest.NewRecorder()
	res.Body = nil
	h.Servers.Config.Handler.ServeHTTP(res, req)
	return res.Code
}
