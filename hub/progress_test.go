package hub

import (
	"context"
	"strconv"
	"testing"
)

// TestJournalsAreBounded: every replica hears of every server, also of those that it never works on.
func TestJournalsAreBounded(t *testing.T) {
	t.Parallel()
	var j journals
	j.init(func(string) bool { return false })
	j.say(Server{ID: "first", Generation: 1}, 0, "Starting.")
	waiting := j.of["first"].changed
	for i := range 5 * maxJournals {
		j.say(Server{ID: strconv.Itoa(i), Generation: 1}, 0, "Starting.")
		j.say(Server{ID: "watched", Generation: 1}, 0, "Event "+strconv.Itoa(min(i, 3))+".")
	}
	if n := len(j.of) + len(j.older); n > 2*maxJournals {
		t.Errorf("%d journals are kept", n)
	}
	select {
	case <-waiting:
	default:
		t.Error("who waits for a journal that was dropped was not woken")
	}
	if told := j.since("watched", 1, 0); len(told) != 4 {
		t.Errorf("of a start that goes on, %d events are left", len(told))
	}
	j.forget("watched")
	if told := j.since("watched", 1, 0); len(told) != 0 {
		t.Errorf("after forget there are %d events", len(told))
	}
}

// askedStore counts how often a server's row was read, and has one row.
type askedStore struct {
	Store
	row   Server
	asked int
}

func (s *askedStore) ServerByID(context.Context, string) (Server, error) {
	s.asked++
	return s.row, nil
}

// TestRowsAreReadWhenTheyMayHaveChanged: a sentence alone has nobody read the row, what the server's worker wrote is handed over, and what others wrote is read.
func TestRowsAreReadWhenTheyMayHaveChanged(t *testing.T) {
	t.Parallel()
	db := &askedStore{row: Server{ID: "a", Generation: 1, Revision: 1, State: Starting}}
	h := &Hub{store: db}
	h.journals.init(h.rows.awaited)
	h.rows.init(h)
	rows := rowReader{h: h, id: "a", waiter: h.rows.join("a")}
	with := func(revision int64, state ServerState) Server {
		return Server{ID: "a", Generation: 1, Revision: revision, State: state}
	}
	for _, step := range []struct {
		what  string
		do    func()
		want  Server
		asked int
	}{
		{"at first", func() {}, with(1, Starting), 1},
		{"a sentence", func() { h.journals.mention(db.row, 10, "An event.") }, with(1, Starting), 1},
		{"the worker wrote", func() { db.row = with(2, Ready); h.journals.wrote(db.row, 0, "") }, with(2, Ready), 1},
		{"nothing", func() {}, with(2, Ready), 1},
		{"somebody wrote", func() { db.row = with(3, Stopping); h.journals.touch("a") }, with(3, Stopping), 2},
		{"the worker is late", func() { h.journals.wrote(with(2, Ready), 0, "") }, with(3, Stopping), 2},
		{"a sentence about the row", func() { db.row = with(4, Stopped); h.journals.say(db.row, 0, "Stopping the server.") }, with(4, Stopped), 3},
		{"its journal was dropped", func() { h.journals.forget("a") }, with(4, Stopped), 4},
		{"the database is an old copy", func() { db.row = with(2, Ready); h.journals.touch("a") }, with(2, Ready), 5},
		{"and goes on", func() { db.row = with(3, Stopping); h.journals.wrote(db.row, 0, "") }, with(3, Stopping), 5},
	} {
		step.do()
		got, _, err := rows.next(t.Context())
		if err != nil || got.Revision != step.want.Revision || got.State != step.want.State || db.asked != step.asked {
			t.Errorf("%s: revision %d, %s, read %d times, %v; want %+v, read %d times", step.what, got.Revision, got.State, db.asked, err, step.want, step.asked)
		}
	}
}
