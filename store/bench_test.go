//go:build unix

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// benchUsers is how many users, servers and tokens there are while one row is asked for.
const benchUsers = 10_000

// BenchmarkRows is what the start of a server asks of the database, call by call.
func BenchmarkRows(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchRows(b, "sqlite://"+filepath.Join(b.TempDir(), "hub.db")) })
	b.Run("postgres", func(b *testing.B) { benchRows(b, pgtest.New(b)) })
}

func benchRows(b *testing.B, dsn string) {
	ctx := b.Context()
	s, err := Open(ctx, Options{DSN: dsn})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(ctx); err != nil {
		b.Fatal(err)
	}
	seed(b, s, benchUsers)
	if s.db.name == "postgres" {
		analyze(b, s)
	}
	user := func(i int) string { return fmt.Sprintf("u%05d", i%benchUsers+1) }
	made := hub.Server{State: hub.Starting, Generation: 1, Options: json.RawMessage(`{"profile":"small"}`), Profile: "small", Queued: time.Now(), Admitted: time.Now()}
	row, err := s.ServerByID(ctx, user(1))
	if err != nil {
		b.Fatal(err)
	}
	var tokens int
	for _, test := range []struct {
		name string
		call func(ctx context.Context, i int) error
	}{
		{"UserByName", func(ctx context.Context, i int) error { _, err := s.UserByName(ctx, "user"+user(i)[1:]); return err }},
		{"TokenByHash", func(ctx context.Context, i int) error { _, err := s.TokenByHash(ctx, []byte(user(i))); return err }},
		{"ServerByID", func(ctx context.Context, i int) error { _, err := s.ServerByID(ctx, user(i)); return err }},
		{"ServerByName", func(ctx context.Context, i int) error { _, err := s.ServerByName(ctx, user(i), ""); return err }},
		{"CountStarts", func(ctx context.Context, _ int) error { _, err := s.CountStarts(ctx); return err }},
		{"CountActive", func(ctx context.Context, _ int) error { _, err := s.CountActive(ctx); return err }},
		{"LoadOfGroups", func(ctx context.Context, _ int) error {
			_, err := s.LoadOfGroups(ctx, []string{"groupu00007"})
			return err
		}},
		{"LoadOfAllGroups", func(ctx context.Context, _ int) error { _, err := s.LoadOfGroups(ctx, nil); return err }},
		{"Starts", func(ctx context.Context, _ int) error { _, err := s.Starts(ctx); return err }},
		{"ActiveServers", func(ctx context.Context, _ int) error {
			_, _, err := s.Servers(ctx, hub.ServerQuery{States: []hub.ServerState{hub.Starting, hub.Ready, hub.Stopping}})
			return err
		}},
		{"ServerBriefs", func(ctx context.Context, _ int) error {
			_, err := s.ServerBriefs(ctx, []hub.ServerState{hub.Starting, hub.Ready, hub.Stopping})
			return err
		}},
		{"CountServers", func(ctx context.Context, _ int) error { _, err := s.CountServers(ctx); return err }},
		{"OpenRuns", func(ctx context.Context, _ int) error { _, err := s.OpenRuns(ctx); return err }},
		{"PageOfUsers", func(ctx context.Context, i int) error {
			_, _, err := s.Users(ctx, hub.UserQuery{Limit: 200, Offset: 200 * (i % 49)})
			return err
		}},
		{"UpdateServer", func(ctx context.Context, _ int) (err error) { row, err = s.UpdateServer(ctx, row); return err }},
		{"IssueToken", func(ctx context.Context, i int) error {
			tokens++
			return s.InTx(ctx, func(tx hub.Store) error {
				id := "jupyterhub-" + user(i)
				c := hub.OAuthClient{ID: id, SecretHash: []byte(fmt.Sprintf("%032d", tokens)), RedirectURI: "/user/x/oauth_callback", ServerID: user(i), Description: "Server at /user/x/"}
				if err := tx.PutClient(ctx, c); err != nil {
					return err
				}
				_, err := tx.CreateToken(ctx, hub.Token{
					UserID: user(i), Hash: fmt.Appendf(nil, "%032d", tokens), ServerID: user(i), Scopes: []string{"access:servers!server=x/", "users:activity!user"},
					Note: "Server at /user/x/", Created: time.Now(),
				})
				return err
			})
		}},
		{"OpenRun", func(ctx context.Context, i int) error {
			tokens++
			return s.OpenRun(ctx, hub.UsageRun{
				ID: fmt.Sprintf("run-%09d", tokens), ServerID: user(i), UserID: user(i), UserName: "name", Generation: int64(tokens), Instance: "i", MemoryMB: 512, Began: time.Now(),
				Held: &hub.Held{CPU: 100, MemoryMB: 512, Pool: "default"},
			})
		}},
		{"CloseRunsOf", func(ctx context.Context, i int) error {
			return s.CloseRunsOf(ctx, user(i), int64(tokens), "", time.Now(), "stopped")
		}},
		{"AdmitStarts", func(ctx context.Context, i int) error {
			_, err := s.AdmitStarts(ctx, []string{user(i)}, time.Now())
			return err
		}},
		{"Exclusive", func(ctx context.Context, _ int) error {
			return s.Exclusive(ctx, "bench", func(hub.Store) error { return nil })
		}},
		{"Admission", func(ctx context.Context, i int) error {
			return s.Exclusive(ctx, "bench", func(tx hub.Store) error {
				if _, err := tx.CountStarts(ctx); err != nil {
					return err
				}
				row, err = tx.UpdateServer(ctx, row)
				return err
			})
		}},
		// The last, because the rows that it leaves are starts that others count.
		{"CreateServer", func(ctx context.Context, i int) error {
			v := made
			v.ID, v.UserID, v.Name = fmt.Sprint("bench-", time.Now().UnixNano(), i), user(i), fmt.Sprint(time.Now().UnixNano(), i)
			return s.CreateServer(ctx, v)
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(ctx) // as a request's is
			defer cancel()
			b.ReportAllocs()
			before := cputime.Used(b)
			for i := 0; b.Loop(); i += 7919 {
				if err := test.call(ctx, i); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cputime.Used(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
