package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// lookupsOf are those of a store on a Postgres of its own, in which there are so many users.
func lookupsOf(t *testing.T, users int) (*Store, *lookups) {
	t.Helper()
	s := openMigrated(t, pgtest.New(t), 8)
	l, ok := s.lookups.(*lookups)
	if !ok {
		t.Fatalf("lookups go to %T", s.lookups)
	}
	for i := range users {
		if err := s.CreateUser(t.Context(), hub.User{ID: fmt.Sprintf("u%d", i), Name: fmt.Sprintf("user%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return s, l
}

// textOfLookup is the only column of the only row that a query finds.
func textOfLookup(ctx context.Context, l *lookups, query string, a ...any) (text string, err error) {
	found, err := l.query(ctx, query, a)
	if err != nil {
		return "", err
	}
	defer found.Close()
	scan, err := found.scanner()
	if err != nil || !found.Next() {
		return "", errors.Join(err, found.Err(), errors.New("no row"))
	}
	return text, scan(&text)
}

// holdUp has no lookup that reads the table return until let is called.
func holdUp(t *testing.T, s *Store, table string) (let func()) {
	t.Helper()
	held, ended := make(chan struct{}), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- s.InTx(ctx, func(tx hub.Store) error {
			inside, _ := tx.(*Store)
			if _, err := inside.exec(ctx, "lock", "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE", nil); err != nil {
				return err
			}
			close(held)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	select {
	case <-held:
	case err := <-ended:
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { cancel(); <-ended })
}

// await returns when the condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal("it never was so")
		}
	}
}

// busy is how many of so many lanes are in use, and how many wait.
func (l *lookups) busy(lanes int) (busy, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return lanes - len(l.idle), len(l.waiting)
}

// Whoever looks for somebody finds them, however many do so at once, and nobody else.
func TestLookupsThatTravelTogetherFindTheirOwn(t *testing.T) {
	t.Parallel()
	s, _ := lookupsOf(t, 50)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			for range 5 {
				name := fmt.Sprintf("user%d", i%60) // ten of them do not exist
				id, err := s.UserIDByName(t.Context(), name)
				if i%60 >= 50 {
					if !errors.Is(err, hub.ErrNotFound) {
						t.Errorf("%s: %q, %v", name, id, err)
					}
					continue
				}
				u, err2 := s.UserByID(t.Context(), id)
				if err := errors.Join(err, err2); err != nil || u.Name != name {
					t.Errorf("%s: %q is %q, %v", name, id, u.Name, err)
				}
			}
		})
	}
	all.Wait()
}

// What is written is there for whoever asks afterwards, also if a journey was under way.
func TestLookupsSeeWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	s, _ := lookupsOf(t, 1)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 20 {
				u := hub.User{ID: fmt.Sprintf("%d-%d", i, n), Name: fmt.Sprintf("new%d-%d", i, n)}
				if err := s.CreateUser(t.Context(), u); err != nil {
					t.Error(err)
				}
				if id, err := s.UserIDByName(t.Context(), u.Name); err != nil || id != u.ID {
					t.Errorf("%s: %q, %v", u.Name, id, err)
				}
			}
		})
	}
	all.Wait()
}

// Those who ask while all lanes are busy travel together, so many at once and in their order, and a lane is free when nobody waits.
func TestWhoWaitsTravelsTogether(t *testing.T) {
	t.Parallel()
	l := &lookups{}
	a := &lane{of: l}
	var all []*looking
	for range 2*maxTogether + 3 {
		mine := &looking{done: make(chan bool, 1)}
		all = append(all, mine)
		l.join(mine)
	}
	for _, want := range [][]*looking{all[:maxTogether], all[maxTogether : 2*maxTogether], all[2*maxTogether:], nil} {
		if got := a.next(); !slices.Equal(got, want) {
			t.Errorf("%d travel, not %d", len(got), len(want))
		}
	}
	if len(l.idle) != 1 {
		t.Error("the lane is not idle")
	}
}

// A lookup that is held up holds up no other for long, and who gives up waiting is let go.
func TestALookupThatIsHeldUp(t *testing.T) {
	t.Parallel()
	s, l := lookupsOf(t, 2)
	l.idle = l.idle[:1]
	let := holdUp(t, s, "groups")
	defer let()
	first := make(chan error, 1)
	go func() { _, err := s.UserByName(t.Context(), "user0"); first <- err }() // with the user's groups
	await(t, func() bool { busy, waiting := l.busy(1); return busy == 1 && waiting == 0 })
	if id, err := s.UserIDByName(t.Context(), "user1"); err != nil || id != "u1" {
		t.Errorf("another one: %q, %v", id, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { _, err := s.UserByName(ctx, "user1"); given <- err }()
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	let()
	if err := <-first; err != nil {
		t.Errorf("who was held up: %v", err)
	}
}

// One that fails takes nobody else with it: those after it ask alone, and get an answer of their own.
func TestALookupThatFailsFailsAlone(t *testing.T) {
	t.Parallel()
	_, l := lookupsOf(t, 3)
	named := "SELECT id FROM users WHERE name = $1"
	good, bad, after := look(t, named, "user0"), look(t, "SELECT 1 / length($1)", ""), look(t, named, "user1")
	l.idle = l.idle[:1]
	only := l.idle[0]
	l.idle = nil
	if others := only.ride([]*looking{good, bad, after}); others != nil || len(l.idle) != 1 {
		t.Errorf("%v are to go on, %d lanes are idle", others, len(l.idle))
	}
	if a, b, c := <-good.done, <-bad.done, <-after.done; !a || b || c {
		t.Errorf("the rows of the first, second and third are there: %t, %t, %t", a, b, c)
	}
	await(t, func() bool { return l.pool.Stat().AcquiredConns() == 0 })
	for range 3 {
		if text, err := textOfLookup(t.Context(), l, named, "user1"); err != nil || text != "u1" {
			t.Errorf("one that is right: %q, %v", text, err)
		}
		_, err := textOfLookup(t.Context(), l, "SELECT CAST(1 / length($1) AS TEXT)", "")
		if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "22012" { // division_by_zero
			t.Errorf("one that fails: %v", err)
		}
	}
}

func look(t *testing.T, query string, a ...any) *looking {
	t.Helper()
	mine := &looking{done: make(chan bool, 1)}
	if !mine.ask(query, a) {
		t.Fatalf("%v are no arguments", a)
	}
	return mine
}

// A change of the schema, as a later migration makes it, is seen by lookups from before.
func TestLookupsAfterAChangeOfTheSchema(t *testing.T) {
	t.Parallel()
	s, l := lookupsOf(t, 0)
	change := func(query string) {
		t.Helper()
		if _, err := s.write.exec(t.Context(), query, nil); err != nil {
			t.Fatal(err)
		}
	}
	change("CREATE TABLE things AS SELECT 1 AS thing")
	for _, want := range []string{"1", "one"} {
		for range 3 {
			if text, err := textOfLookup(t.Context(), l, "SELECT * FROM things"); err != nil || text != want {
				t.Errorf("%q, not %q, %v", text, want, err)
			}
		}
		change("ALTER TABLE things ALTER thing TYPE TEXT USING 'one'")
	}
}

// All that a lookup can ask with arrives, and what it reads is what others read.
func TestLookupsReadWhatOthersRead(t *testing.T) {
	t.Parallel()
	s, l := lookupsOf(t, 0)
	plain := "SELECT " + strings.ReplaceAll(strings.Join(wideValues, ", "), "char(", "chr(")
	wideOf := func(found rows, err error) (w wide) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer found.Close()
		scan, err := found.scanner()
		if err != nil || !found.Next() {
			t.Fatal("no row", err)
		}
		if err := scan(w.fields()...); err != nil || found.Next() {
			t.Fatal("another row", err)
		}
		return w
	}
	for _, w := range []wide{wideOf(l.query(t.Context(), plain, nil)), wideOf(s.read.query(t.Context(), plain, nil))} {
		if diff := cmp.Diff(wideWant, w, cmp.AllowUnexported(wide{})); diff != "" {
			t.Error(diff)
		}
	}
	given := []any{"a\"'\\é", []byte{0, 255, '\\'}, 7, int64(-1 << 63), nil, true, 1.5}
	const query = "SELECT concat_ws(' ', $1::TEXT, encode($2, 'hex'), $3::INT, $4::BIGINT, $5::TEXT IS NULL, $6::BOOL"
	for n, tail := range map[int]string{6: ")", 7: ", $7::FLOAT)"} { // the last one is of a type that the store has not
		want := `a"'\é 00ff5c 7 -9223372036854775808 t t` + strings.Repeat(" 1.5", n-6)
		if text, err := textOfLookup(t.Context(), l, query+tail, given[:n]...); err != nil || text != want {
			t.Errorf("%d arguments: %q, %v", n, text, err)
		}
	}
	hash := []byte{0, 1, 255}
	var got, none []byte
	found, err := l.query(t.Context(), "SELECT $1::BYTEA, NULL::BYTEA", []any{hash})
	if err != nil {
		t.Fatal(err)
	}
	if scan, err := found.scanner(); err != nil || !found.Next() || scan(&got, &none) != nil || !slices.Equal(got, hash) || none != nil {
		t.Errorf("%v and %v, %v", got, none, err)
	}
	if scan, err := found.scanner(); err != nil || scan(&got) == nil {
		t.Errorf("a row of two columns is read as one of one, %v", err)
	}
}

// Where statements are not kept prepared, as behind some poolers, each lookup goes alone.
func TestLookupsWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		s := openMigrated(t, dsn+separator+"default_query_exec_mode="+strings.ReplaceAll(mode.String(), " ", "_"), 2)
		if s.lookups != querier(s.db.pool) {
			t.Errorf("%v: lookups go to %T", mode, s.lookups)
		}
		if _, err := s.UserByName(t.Context(), "nobody"); !errors.Is(err, hub.ErrNotFound) {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

// A database that does not answer is told of, and a journey there ends.
func TestLookupsOfADatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s, l := lookupsOf(t, 1)
	lanes := len(l.idle)
	let := holdUp(t, s, "users")
	defer let()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := s.UserByName(ctx, "user0"); hub.KindOf(err) != hub.Unavailable {
		t.Errorf("%v", err)
	}
	await(t, func() bool { busy, _ := l.busy(lanes); return busy == 0 }) // after journeyPatience
	let()
	if id, err := s.UserIDByName(t.Context(), "user0"); err != nil || id != "u0" {
		t.Errorf("afterwards: %q, %v", id, err)
	}
}
