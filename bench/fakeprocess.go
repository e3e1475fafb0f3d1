package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/heap"
	"github.com/nomadhub/nomadhub/store"
)

// fakeAddress is what a [fakeHub] in a process of its own says about itself.
type fakeAddress struct {
	URL    string `json:"url"`    // of the API
	Check  string `json:"check"`  // tells whether so many servers were started once
	Token  string `json:"token"`  // of an administrator
	Public string `json:"public"` // URL of what browsers ask
	// Metrics and Secrets are there in a whole one: what it tells of itself, and the secret of a user's server.
	Metrics string `json:"metrics,omitempty"`
	Secrets string `json:"secrets,omitempty"`
}

// runFake is the subcommand that is a hub with a scheduler in memory. Its heap is kept as the program's is.
func runFake(ctx context.Context, args []string) error {
	var o fakeOptions
	flags := flag.NewFlagSet("fake", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "", "folder for the database")
	flags.StringVar(&o.dsn, "dsn", "", "database; default: SQLite in the folder")
	flags.IntVar(&o.users, "users", 0, "how many users there are")
	flags.IntVar(&o.port, "port", 8888, "port of servers' addresses")
	flags.BoolVar(&o.whole, "whole", false, "with pages, OAuth, audit log and metrics")
	profile := flags.String("profile", "", "file for a profile of the processor time; default: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	heap.Tune(os.Getenv)
	f, err := newFake(ctx, o)
	if err != nil {
		return err
	}
	defer f.close()
	at := fakeAddress{URL: f.url, Token: f.token, Public: f.public}
	beside := map[*string]http.Handler{&at.Check: http.HandlerFunc(f.check)}
	if o.whole {
		beside[&at.Metrics], beside[&at.Secrets] = httpd.NewScrape(f.metrics), http.HandlerFunc(f.tellSecret)
	}
	for address, handler := range beside {
		if *address, err = f.serve(ctx, handler); err != nil {
			return err
		}
	}
	if *profile != "" {
		stop, err := startProfile(*profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
		return err
	}
	return heap.Keep(ctx, os.Getenv)
}

// check answers whether so many servers were started, each once.
func (f *fakeHub) check(w http.ResponseWriter, r *http.Request) {
	want, err := strconv.Atoi(r.URL.Query().Get("want"))
	if err == nil {
		err = f.startedOnce(r.Context(), want)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// startProfile profiles the processor time of this process from now on, and in the end what is on its heap, and was, beside that.
func startProfile(path string) (stop func(), err error) {
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = out.Close()
		runtime.GC()
		if out, err := os.Create(path + ".heap"); err == nil {
			_ = pprof.WriteHeapProfile(out)
			_ = out.Close()
		}
	}, nil
}

// fakeChild is a [fakeHub] in a process of its own, on the core of what is measured.
type fakeChild struct {
	*child
	fakeAddress
	dsn string
}

// fakePatience is how long it may take to make its users.
const fakePatience = 10 * time.Minute

// spawnFake starts one and waits until it can be asked. Its profile is called after its folder.
func (r *run) spawnFake(ctx context.Context, o fakeOptions) (*fakeChild, error) {
	args := []string{"fake", "-dir", o.dir, "-dsn", o.dsn, "-users", strconv.Itoa(o.users), "-port", strconv.Itoa(o.port)}
	if o.whole {
		args = append(args, "-whole")
	}
	if r.profiles != "" {
		args = append(args, "-profile", filepath.Join(r.profiles, filepath.Base(o.dir)+".pprof"))
	}
	p, err := spawn(o.dir, program{name: "fake", core: coreUnderTest, path: r.self, args: args})
	if err != nil {
		return nil, err
	}
	f := &fakeChild{child: p, dsn: o.database()}
	err = p.await(ctx, fakePatience, func(context.Context) error {
		text, err := os.ReadFile(p.log)
		return errors.Join(err, json.Unmarshal(text, &f.fakeAddress))
	})
	if err != nil {
		p.stop()
		return nil, err
	}
	return f, nil
}

// openOurs opens one with that many users.
func (r *run) openOurs(ctx context.Context, name string, kind databaseKind, users int, whole bool) (subject, error) {
	dir, dsn, err := r.room(ctx, fmt.Sprintf("%s-%s-%d", name, kind.name, users), kind)
	if err != nil {
		return subject{}, err
	}
	f, err := r.spawnFake(ctx, fakeOptions{dir: dir, dsn: dsn, users: users, port: 8888, whole: whole})
	if err != nil {
		return subject{}, err
	}
	return subject{underTest: f, whose: ours, database: kind.name, users: users, public: f.Public, url: f.URL, token: f.Token}, nil
}

func (f *fakeChild) runAll(ctx context.Context, users int) error { return f.fill(ctx, 0, users) }

func (f *fakeChild) startFirst(ctx context.Context, n int) error { return f.fill(ctx, 0, n) }

func (f *fakeChild) secretOf(ctx context.Context, user string) (string, error) {
	text, err := read(ctx, http.DefaultClient, f.Secrets+"/?user="+url.QueryEscape(user))
	return string(text), err
}

func (f *fakeChild) countWrites(ctx context.Context) (writeCounter, error) {
	return countWrites(ctx, f.dsn)
}

func (f *fakeChild) close() { f.stop() }

// fill starts the servers of the users from first to last, that one not included, and waits until so many are ready in all.
func (f *fakeChild) fill(ctx context.Context, first, last int) error {
	db, err := store.Open(ctx, store.Options{DSN: f.dsn})
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	if err := newStarter(f.URL, f.Token).askAll(ctx, http.MethodPost, first, last); err != nil {
		return err
	}
	return awaitState(ctx, db, hub.Ready, last)
}

// atOnce is how many servers are asked for in the same instant.
const atOnce = 5000

// fakeRounds are fewer than the others: each makes ten thousand changes.
const fakeRounds = 3

// onFake is what one of them takes of the hub's processor, in milliseconds, with a scheduler that takes no time: ours and JupyterHub's.
func onFake(name string) key {
	return key{Operation: "O12b", Name: name, Database: "sqlite", Unit: "ms"}
}

// burstOnFake is O12b: so many servers at once through the hub's core, its API and its database, with a scheduler that takes no time.
func (r *run) burstOnFake(ctx context.Context) error {
	return r.times(fakeRounds).repeat(ctx, func(ctx context.Context, number int) (func(round), error) {
		dir, err := r.folder(fmt.Sprintf("o12b-%d", number))
		if err != nil {
			return nil, err
		}
		ahead, err := fairness(ctx, filepath.Join(dir, "fair"))
		if err != nil {
			return nil, err
		}
		x, err := r.onFake(ctx, dir)
		return func(in round) {
			k := func(name, unit string) key {
				return key{Operation: "O12b", Name: name, Size: atOnce, Database: "sqlite", Unit: unit}
			}
			r.add(k("accepted", "ms"), ours, in, x.accepted)
			r.add(k("all_ready", "ms"), ours, in, x.allReady)
			r.add(k("starts_per_core", "1/s"), ours, in, atOnce/x.cpuStart*1000)
			r.add(k("stops_per_core", "1/s"), ours, in, atOnce/x.cpuStop*1000)
			r.add(onFake("cpu_per_start"), ours, in, x.cpuStart/atOnce)
			r.add(onFake("cpu_per_stop"), ours, in, x.cpuStop/atOnce)
			r.add(k("ahead_of_few", "starts"), ours, in, float64(ahead))
		}, err
	})
}

func (r *run) onFake(ctx context.Context, dir string) (burstResult, error) {
	var b burstResult
	p, err := r.spawnFake(ctx, fakeOptions{dir: dir, users: atOnce, port: 8888})
	if err != nil {
		return b, err
	}
	defer p.stop()
	db, err := store.Open(ctx, store.Options{DSN: p.dsn})
	if err != nil {
		return b, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	asks := newStarter(p.URL, p.Token)

	before, err1 := cpuTime(p.pid())
	began := time.Now()
	if err := asks.askAll(ctx, http.MethodPost, 0, atOnce); err != nil {
		return b, err
	}
	b.accepted = since(began)
	if err := awaitState(ctx, db, hub.Ready, atOnce); err != nil {
		return b, err
	}
	b.allReady = since(began)
	between, err2 := cpuTime(p.pid())
	if err := answers(ctx, p.Check+"/?want="+strconv.Itoa(atOnce)); err != nil {
		return b, fmt.Errorf("servers were lost or started twice: %w", err)
	}
	start, err3 := cpuTime(p.pid())
	if err := asks.askAll(ctx, http.MethodDelete, 0, atOnce); err != nil {
		return b, err
	}
	if err := awaitState(ctx, db, hub.Stopped, atOnce); err != nil {
		return b, err
	}
	after, err4 := cpuTime(p.pid())
	b.cpuStart, b.cpuStop = milliseconds(between-before), milliseconds(after-start)
	return b, errors.Join(err1, err2, err3, err4)
}
