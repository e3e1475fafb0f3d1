package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"
)

// template is a job that the hub registered, and its variable: the peer registers the same under other names.
type template struct {
	ID       string
	Job      json.RawMessage
	Variable nomad.VariableItems
}

// take reads a job of the hub's that runs.
func take(ctx context.Context, c *nomad.Client, id string) (template, error) {
	q := (&nomad.QueryOptions{}).WithContext(ctx)
	job, _, err := c.Jobs().Info(id, q)
	if err != nil {
		return template{}, err
	}
	variable, _, err := c.Variables().Read("nomad/jobs/"+id, q)
	if err != nil {
		return template{}, err
	}
	text, err := json.Marshal(job)
	return template{id, text, variable.Items}, err
}

// named returns the job and the variable under another name.
func (t template) named(id string) (*nomad.Job, *nomad.Variable, error) {
	job := &nomad.Job{}
	err := json.Unmarshal([]byte(strings.ReplaceAll(string(t.Job), t.ID, id)), job)
	return job, &nomad.Variable{Path: "nomad/jobs/" + id, Items: t.Variable}, err
}

// bareStart is how one start went, in milliseconds from its beginning. Answered is when the
// server's first answer was there, running when Nomad said so.
type bareStart struct {
	Alloc    string  `json:"alloc"`
	Created  int64   `json:"created"` // when Nomad gave it its place, in nanoseconds since 1970
	Answered float64 `json:"answered"`
	Running  float64 `json:"running"`
}

// bareResult is what the peer prints.
type bareResult struct {
	Starts []bareStart `json:"starts"`
	// AllRunning and AllGone are the times of the whole, in milliseconds; CPUStart and CPUStop the peer's own processor time.
	AllRunning float64 `json:"all_running"`
	AllGone    float64 `json:"all_gone"`
	CPUStart   float64 `json:"cpu_start"`
	CPUStop    float64 `json:"cpu_stop"`
}

// runBare is the subcommand that is the peer: it starts the job so many times with nothing but Nomad's API and its own probing, and ends
// all of them again. It does no more than it must: nothing is written down, and nobody else could take over from it.
func runBare(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	address := flags.String("nomad", "", "Nomad's address")
	path := flags.String("template", "", "file with the job")
	prefix := flags.String("prefix", "bare-", "beginning of the jobs' names")
	count := flags.Int("count", 1, "how many")
	parallel := flags.Int("parallel", 1, "how many calls at once; with 1, each server is started when the one before it answers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*path)
	if err != nil {
		return err
	}
	b := &barePeer{prefix: *prefix, count: *count, waiting: map[string]*bareWait{}}
	if err := json.Unmarshal(text, &b.template); err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: bareConns, MaxConnsPerHost: bareConns}
	if b.client, err = nomad.NewClient(&nomad.Config{Address: *address, HttpClient: &http.Client{Transport: transport}}); err != nil {
		return err
	}
	result, err := b.run(ctx, *parallel)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// bareConns is how many connections the peer opens: Nomad takes a hundred from one address, and the hub keeps its own meanwhile.
const bareConns = 32

type barePeer struct {
	client   *nomad.Client
	template template
	prefix   string
	count    int

	mu      sync.Mutex
	waiting map[string]*bareWait
}

// bareWait is what is awaited of one server.
type bareWait struct {
	placed, running, ended chan struct{}
	address, alloc         string
	created                int64
}

func (b *barePeer) run(ctx context.Context, parallel int) (bareResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := b.client.EventStream().Stream(ctx, map[nomad.Topic][]string{nomad.TopicAllocation: {"*"}}, 0, nil)
	if err != nil {
		return bareResult{}, err
	}
	go b.follow(events)
	if parallel == 1 {
		return b.oneByOne(ctx)
	}
	return b.burst(ctx, parallel)
}

func (b *barePeer) follow(events <-chan *nomad.Events) {
	for frame := range events {
		for i := range frame.Events {
			if alloc, err := frame.Events[i].Allocation(); err == nil && alloc != nil {
				b.see(alloc)
			}
		}
	}
}

func (b *barePeer) see(alloc *nomad.Allocation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.waiting[alloc.JobID]
	if w == nil {
		return
	}
	if w.address == "" && alloc.AllocatedResources != nil && len(alloc.AllocatedResources.Shared.Ports) > 0 {
		port := alloc.AllocatedResources.Shared.Ports[0]
		w.address, w.alloc, w.created = net.JoinHostPort(port.HostIP, strconv.Itoa(port.Value)), alloc.ID, alloc.CreateTime
		close(w.placed)
	}
	switch alloc.ClientStatus {
	case nomad.AllocClientStatusRunning:
		closeOnce(w.running)
	case nomad.AllocClientStatusComplete, nomad.AllocClientStatusFailed, nomad.AllocClientStatusLost:
		closeOnce(w.ended)
	}
}

// closeOnce closes what may be closed already; the caller holds the lock.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func (b *barePeer) register(ctx context.Context, i int) (string, *bareWait, error) {
	id := b.prefix + strconv.Itoa(i)
	job, variable, err := b.template.named(id)
	if err != nil {
		return "", nil, err
	}
	w := &bareWait{placed: make(chan struct{}), running: make(chan struct{}), ended: make(chan struct{})}
	b.mu.Lock()
	b.waiting[id] = w
	b.mu.Unlock()
	write := (&nomad.WriteOptions{}).WithContext(ctx)
	if _, _, err := b.client.Variables().Create(variable, write); err != nil {
		return "", nil, fmt.Errorf("write the variable: %w", err)
	}
	_, _, err = b.client.Jobs().Register(job, write)
	return id, w, err
}

// end ends a server, waits until it has ended, and removes what was made for it.
func (b *barePeer) end(ctx context.Context, id string, w *bareWait) error {
	write := (&nomad.WriteOptions{}).WithContext(ctx)
	if _, _, err := b.client.Jobs().Deregister(id, false, write); err != nil {
		return err
	}
	if err := waitFor(ctx, w.ended, "the end of "+id); err != nil {
		return err
	}
	if _, err := b.client.Variables().Delete("nomad/jobs/"+id, write); err != nil {
		return err
	}
	_, _, err := b.client.Jobs().Deregister(id, true, write)
	return err
}

// oneByOne starts one server after the other, and ends them together.
func (b *barePeer) oneByOne(ctx context.Context) (bareResult, error) {
	result := bareResult{Starts: make([]bareStart, b.count)}
	ids, waits := make([]string, b.count), make([]*bareWait, b.count)
	g, gctx := errgroup.WithContext(ctx)
	for i := range b.count {
		began := time.Now()
		one := &result.Starts[i]
		id, w, err := b.startOne(ctx, i, one)
		if err != nil {
			return result, err
		}
		ids[i], waits[i] = id, w
		g.Go(func() error { // Nomad says it much later
			err := waitFor(gctx, w.running, "Nomad's word that it runs, "+id)
			one.Running = since(began)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return result, err
	}
	return result, inParallel(ctx, b.count, b.count, func(ctx context.Context, i int) error { return b.end(ctx, ids[i], waits[i]) })
}

// startOne returns when the server answers.
func (b *barePeer) startOne(ctx context.Context, i int, one *bareStart) (string, *bareWait, error) {
	ctx, cancel := context.WithTimeout(ctx, onePatience)
	defer cancel()
	began := time.Now()
	id, w, err := b.register(ctx, i)
	if err != nil {
		return id, w, err
	}
	if err := waitFor(ctx, w.placed, "the place of "+id); err != nil {
		return id, w, err
	}
	one.Alloc, one.Created = w.alloc, w.created
	for answers(ctx, "http://"+w.address+"/") != nil {
		if !pause(ctx, 2*time.Millisecond) {
			return id, w, fmt.Errorf("%s does not answer at %s: %w", id, w.address, ctx.Err())
		}
	}
	one.Answered = since(began)
	return id, w, nil
}

func (b *barePeer) burst(ctx context.Context, parallel int) (bareResult, error) {
	var result bareResult
	ids, waits := make([]string, b.count), make([]*bareWait, b.count)
	began, before := time.Now(), ownTime()
	err := inParallel(ctx, b.count, parallel, func(ctx context.Context, i int) (err error) {
		ids[i], waits[i], err = b.register(ctx, i)
		return err
	})
	if err != nil {
		return result, err
	}
	for _, w := range waits {
		if err := waitFor(ctx, w.running, "all to run"); err != nil {
			return result, err
		}
	}
	result.AllRunning, result.CPUStart = since(began), milliseconds(ownTime()-before)
	began, before = time.Now(), ownTime()
	// All at once: the end of a server takes as long as Nomad's client needs, and is waited for.
	if err := inParallel(ctx, b.count, b.count, func(ctx context.Context, i int) error { return b.end(ctx, ids[i], waits[i]) }); err != nil {
		return result, err
	}
	result.AllGone, result.CPUStop = since(began), milliseconds(ownTime()-before)
	return result, nil
}

func ownTime() time.Duration {
	used, err := cpuTime(os.Getpid())
	if err != nil {
		return 0
	}
	return used
}

// inParallel calls do for each number below n, so many at once, until one fails.
func inParallel(ctx context.Context, n, parallel int, do func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

func waitFor(ctx context.Context, c <-chan struct{}, what string) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func since(t time.Time) float64 { return milliseconds(time.Since(t)) }

// startBare runs the peer on the core of what is measured, and returns what it printed.
func (c *cluster) startBare(ctx context.Context, self, templateFile, prefix string, count, parallel int) (bareResult, error) {
	var result bareResult
	p, err := spawn(c.dir, program{
		name: prefix + "peer", core: coreUnderTest, path: self,
		args: []string{"bare", "-nomad", c.nomadAddress, "-template", templateFile, "-prefix", prefix, "-count", strconv.Itoa(count), "-parallel", strconv.Itoa(parallel)},
	})
	if err != nil {
		return result, err
	}
	defer p.stop()
	if err := waitFor(ctx, p.ended, "the peer"); err != nil {
		return result, err
	}
	text, err := os.ReadFile(p.log)
	if err == nil && json.Unmarshal(text, &result) != nil {
		err = errors.New("the peer failed: " + string(text))
	}
	return result, err
}
