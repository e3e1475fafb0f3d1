package hub

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// indifferent are the writes after which every token stands for whom it stood for, and everybody has the servers that they had.
var indifferent = []string{
	"AcquireLease", "ReleaseLease", "AddAudit", "OpenRun", "CloseRun", "CloseRunsOf", "CountExchange", "TouchSession", "TouchTokens", "TouchUsage",
	"WatchActivity", "UnwatchActivity", "LinkIdentity", "Welcome", "UpdateVolume", "UseVolume", "ReleaseVolumes", "SetGroupProperties", "TakeCode",
	"BeginServiceRun", "PlaceServiceRun",
	"PutClient", // a client of the same ID is the same server's or service's, unless that was deleted meanwhile
	// What did not exist nobody was remembered by.
	"CreateCode", "CreateGroup", "CreateService", "CreateSession", "CreateShareCode", "CreateToken", "CreateUser", "CreateVolume", "Enroll",
	// Who looks at the clock ends what has expired.
	"DeleteAuditBefore", "DeleteCodesBefore", "DeleteRunsBefore", "DeleteSessionsBefore", "DeleteShareCodesBefore", "DeleteTokensBefore",
	"DeleteShareCodes", "DeleteVolume",
	"DeleteSession", // sessions are read each time
}

// writesOfServers are those after which somebody has other servers, or is shown something else of one. Where tokens then stand for less, too, it is true.
var writesOfServers = map[string]bool{
	"AdmitStarts": false, "CreateServer": false, "RecordActivity": false, "UpdateServer": false, "UpdateServerAndOpenRun": false, // a rename is told of by ServerRenamed
	"DeleteServer": true, "DeleteUser": true, "ServerRenamed": true,
}

// reads change nothing.
var reads = []string{
	"Acquaintance", "ActivityWatched", "Audit", "Client", "CodeByHash", "CountActive", "CountServers", "CountStarts", "CountUsers", "CullCandidates", "Groups", "GroupsOfWaiting", "LoadOfGroups",
	"OpenRuns", "Ping", "Revisions", "ServerBriefs", "ServerByID", "ServerByName", "ServerOutlines", "Servers", "Service", "ServiceRuns", "Services", "SessionByID", "Sessions", "ShareCodeByHash", "ShareCodes",
	"Shares", "Starts", "SumUsage", "TokenByHash", "TokenByID", "Tokens", "TokensOfService", "UsageRuns", "UsageTouched", "UserByID", "UserByName", "UserIDByName", "Users",
	"VolumeByID", "VolumeByOwner", "VolumeUses", "Volumes",
}

// refusing is a store in which nothing is called.
type refusing struct{ Store }

// TestEveryWriteIsToldOf holds that each method of the store either changes nothing that is remembered, or is told of. One that is new must be sorted.
func TestEveryWriteIsToldOf(t *testing.T) {
	t.Parallel()
	all := reflect.TypeFor[Store]()
	for method := range all.Methods() {
		own := reflect.TypeFor[noticing]()
		m, _ := own.MethodByName(method.Name)
		var told kinds
		n := noticing{refusing{}, func(k kinds) { told |= k }}
		if slices.Contains(indifferent, method.Name) || slices.Contains(reads, method.Name) || method.Name == "InTx" || method.Name == "Exclusive" {
			continue
		}
		func() {
			defer func() { _ = recover() }() // the store that is not there
			args := []reflect.Value{reflect.ValueOf(n)}
			for i := 1; i < m.Type.NumIn()-btoi(m.Type.IsVariadic()); i++ {
				args = append(args, reflect.Zero(m.Type.In(i)))
			}
			m.Func.Call(args)
		}()
		want := ofPeople
		if alsoPeople, ok := writesOfServers[method.Name]; ok {
			want = ofServers
			if alsoPeople {
				want |= ofPeople
			}
		}
		if told != want {
			t.Errorf("%s is told of as %b, want %b, unless it is sorted among what does not matter; see noticing", method.Name, told, want)
		}
	}
	for _, name := range slices.Concat(indifferent, reads, slices.Collect(maps.Keys(writesOfServers))) {
		if _, there := all.MethodByName(name); !there {
			t.Errorf("there is no %s any more", name)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// inTx is a store with a transaction in which everything succeeds, and which then fails with err.
type inTx struct {
	Store

	err error
}

func (s inTx) InTx(_ context.Context, fn func(Store) error) error { return errors.Join(fn(s), s.err) }
func (s inTx) DeleteToken(context.Context, int64) error           { return nil }
func (s inTx) TouchTokens(context.Context, map[int64]time.Time) error {
	return nil
}

func TestTransactionsAreToldOfAtTheirEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(tx Store) error
		err  error
		want int
	}{
		{"nothing that matters", func(tx Store) error { return tx.TouchTokens(t.Context(), nil) }, nil, 0},
		{"two writes that matter", func(tx Store) error {
			return errors.Join(tx.DeleteToken(t.Context(), 1), tx.DeleteToken(t.Context(), 2))
		}, nil, 1},
		{"one within another", func(tx Store) error {
			return tx.InTx(t.Context(), func(tx Store) error { return tx.DeleteToken(t.Context(), 1) })
		}, nil, 1},
		{"an end that is not known", func(tx Store) error { return tx.DeleteToken(t.Context(), 1) }, errors.New("the connection is gone"), 1},
	} {
		told, within := 0, true
		n := noticing{inTx{err: c.err}, func(kinds) {
			told++
			if within {
				t.Errorf("%s: told before the end", c.name)
			}
		}}
		err := n.InTx(t.Context(), func(tx Store) error {
			err := c.do(tx)
			within = false
			return err
		})
		if told != c.want || (err == nil) != (c.err == nil) {
			t.Errorf("%s: told %d times, want %d; %v", c.name, told, c.want, err)
		}
	}
}

func TestWhatIsRememberedIsForgotten(t *testing.T) {
	t.Parallel()
	var r memory[string, Principal]
	asked := 0
	read := func() (Principal, error) {
		asked++
		return Principal{User: User{Name: strings.Repeat("a", asked)}}, nil
	}
	learn := func(want string) {
		t.Helper()
		p, err := r.learn("x", read)
		if err != nil || p.User.Name != want {
			t.Fatalf("it is %q, %v, want %q", p.User.Name, err, want)
		}
	}
	learn("a")
	learn("a")
	r.forget()
	learn("aa")
	// What changes while it is read is not remembered.
	r.forget()
	if _, err := r.learn("x", func() (Principal, error) { r.forget(); return read() }); err != nil {
		t.Fatal(err)
	}
	learn("aaaa")
	r.mu.Lock()
	kept := r.of["x"]
	kept.until = time.Now().Add(-time.Nanosecond)
	r.of["x"] = kept
	r.mu.Unlock()
	learn("aaaaa")
	r.forget()
	r.sweep()
	if len(r.of) != 0 {
		t.Errorf("%d are kept", len(r.of))
	}
	if _, err := r.learn("y", func() (Principal, error) { return Principal{}, ErrNotFound }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a failure gives %v", err)
	}
	if _, known := r.recall("y"); known {
		t.Error("a failure is remembered")
	}
	for i := range maxRemembered + 2 {
		_, _ = r.learn(strings.Repeat("z", i), read)
	}
	if len(r.of) > maxRemembered {
		t.Errorf("%d are kept, more than %d", len(r.of), maxRemembered)
	}
}
