package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/store"
)

// fakeAddress is what a [fakeHub] in a process of its own says about itself.
type fakeAddress struct {
	URL   string `json:"url"`
	Check string `json:"check"`
	Token string `json:"token"`
}

// runFake is the subcommand that is a hub with a scheduler in memory.
func runFake(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("fake", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for the database")
	users := flags.Int("users", 0, "how many users there are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f, err := newFakeHub(ctx, *dir, *users)
	if err != nil {
		return err
	}
	defer f.close()
	check := f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, err := strconv.Atoi(r.URL.Query().Get("want"))
		if err == nil {
			err = f.startedOnce(r.Context(), want)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	}))
	if err := json.NewEncoder(os.Stdout).Encode(fakeAddress{f.url, check.URL, f.token}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
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
	p, err := spawn(dir, program{name: "fake", core: coreUnderTest, path: r.self, args: []string{"fake", "-dir", dir, "-users", strconv.Itoa(atOnce)}})
	if err != nil {
		return b, err
	}
	defer p.stop()
	var at fakeAddress
	err = p.await(ctx, time.Minute, func(context.Context) error {
		text, err := os.ReadFile(p.log)
		return errors.Join(err, json.Unmarshal(text, &at))
	})
	if err != nil {
		return b, err
	}
	db, err := store.Open(ctx, store.Options{DSN: "sqlite://" + filepath.Join(dir, "hub.db")})
	if err != nil {
		return b, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	asks := newStarter(at.URL, at.Token)

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
	if err := answers(ctx, at.Check+"/?want="+strconv.Itoa(atOnce)); err != nil {
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
