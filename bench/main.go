package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok { // the copy in namespaces of its own has said why
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch runs the processes that this program starts of itself, or the measurements.
func dispatch(ctx context.Context, args []string) error {
	parts := map[string]func(context.Context, []string) error{"notebook": notebook, "notebooks": notebooks, "bare": runBare, "fake": runFake}
	if len(args) > 0 {
		if part := parts[args[0]]; part != nil {
			return part(ctx, args[1:])
		}
	}
	s, err := parseSettings(args)
	if err != nil {
		return err
	}
	if len(s.from) > 0 {
		r, err := collect(s.from)
		if err != nil {
			return err
		}
		return errors.Join(r.table(os.Stdout), r.verdicts(os.Stdout), r.writePage(s.page))
	}
	if os.Getenv(insideEnv) == "" {
		if err := canIsolate(); err != nil {
			return err
		}
		return isolated(ctx)
	}
	if err := settle(); err != nil {
		return err
	}
	return measure(ctx, s)
}

// settings are the command's flags.
type settings struct {
	only     []string
	rounds   int
	starts   int
	burst    int
	sizes    []int
	stock    []int // numbers of servers at which the stock hub is measured
	patience time.Duration
	asks     time.Duration // how long each question is repeated in a round
	window   time.Duration // how long the mixed load goes on in a round
	crowd    int           // users of the largest hub of which lists are asked for; 0: there is none
	out      string
	page     string
	from     []string // files of earlier runs to be shown together
	hub      string
	database string
	profiles string
	keep     bool
}

func parseSettings(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "operations to measure, separated by commas; default: all")
	sizes := flags.String("sizes", "100,1000,10000", "numbers of running servers at which to measure, separated by commas")
	stockSizes := flags.String("stock-sizes", "", `the same for JupyterHub beside it; "none": not; default: those of -sizes from 1,000 on`)
	flags.IntVar(&s.rounds, "rounds", 5, "repetitions of each measurement")
	flags.IntVar(&s.starts, "starts", 40, "servers that are started one after the other in each repetition")
	flags.IntVar(&s.burst, "burst", 500, "servers that are started at once")
	flags.DurationVar(&s.patience, "patience", 30*time.Second, "how long each repetition may wait until nobody else uses the machine")
	flags.DurationVar(&s.asks, "asks", 4*time.Second, "how long each question to the API, login and visit is repeated in each repetition")
	flags.DurationVar(&s.window, "window", time.Minute, "how long the mixed load goes on in each repetition; 10m for a result to publish")
	flags.IntVar(&s.crowd, "crowd", 100_000, "users, of whom none has a server, with whom questions to the API are asked beside those with the most servers; 0: not")
	flags.StringVar(&s.out, "out", "bench.jsonl", "file for the measurements, one JSON line each")
	flags.StringVar(&s.page, "page", "", "file for a page of documentation with the results; default: none")
	from := flags.String("from", "", "files of earlier runs, separated by commas: measure nothing, and show these together, what several have from the last of them")
	flags.StringVar(&s.hub, "hub", "../bin/nomadhub", "the hub's program")
	flags.StringVar(&s.database, "database", "sqlite", "sqlite, postgres, or both")
	flags.StringVar(&s.profiles, "profiles", "", "folder for profiles of the hub; taking them costs some percent, so not for a result")
	flags.BoolVar(&s.keep, "keep", false, "keep data and logs")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if *only != "" {
		s.only = strings.Split(*only, ",")
	}
	if *from != "" {
		s.from = strings.Split(*from, ",")
	}
	var err1, err2 error
	if s.sizes, err1 = parseSizes("-sizes", *sizes); err1 != nil {
		return s, err1
	}
	switch *stockSizes {
	case "":
		s.stock = slices.DeleteFunc(slices.Clone(s.sizes), func(n int) bool { return n < 1000 })
	case "none":
	default:
		if s.stock, err1 = parseSizes("-stock-sizes", *stockSizes); err1 != nil {
			return s, err1
		}
	}
	if s.hub, err1 = filepath.Abs(s.hub); s.profiles != "" {
		s.profiles, err2 = filepath.Abs(s.profiles)
	}
	return s, errors.Join(err1, err2)
}

// parseSizes reads numbers of servers, and returns them in their order.
func parseSizes(flag, list string) ([]int, error) {
	var sizes []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostServers {
			return nil, fmt.Errorf("%s: %q is no number of servers from 1 to %d, for which there are ports on one address", flag, text, mostServers)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes), nil
}

func (s settings) wants(operation string) bool {
	return len(s.only) == 0 || slices.Contains(s.only, operation)
}

// run is one run of the command.
type run struct {
	settings
	*recorder
	machine
	self string
	dir  string
}

func measure(ctx context.Context, s settings) (err error) {
	if runtime.NumCPU() < 2 {
		return errors.New("this needs two cores: one for what is measured, one for the rest")
	}
	if err := pin(coreForRest); err != nil {
		return err
	}
	out, err := os.Create(s.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	dir, err := os.MkdirTemp("", "b-") // short, because sockets are made deep below it
	if err != nil {
		return err
	}
	defer func() {
		if s.keep || err != nil {
			fmt.Fprintln(os.Stderr, "bench: data and logs are kept in", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // Postgres runs as another account, in a folder of its own below
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Tasks run it too, and its path here would be a file that is gone when it was started by "go run".
	copied := filepath.Join(dir, "bench")
	if err := copyProgram(self, copied); err != nil {
		return err
	}
	r := &run{settings: s, recorder: &recorder{out: out}, machine: machine{s.patience}, self: copied, dir: dir}
	r.open(ctx, describe())
	failed := r.operations(ctx)
	r.writeOrigin(nil) // with the peers', which are known by now
	return errors.Join(failed, r.table(os.Stdout), r.verdicts(os.Stdout), r.writePage(s.page))
}

// writePage writes the page of documentation, if one is wanted.
func (r *recorder) writePage(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.page(f), f.Close())
}

func copyProgram(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755) //nolint:gosec // other accounts run it
}

// operations measures one after the other. One that fails does not keep the others from being measured.
func (r *run) operations(ctx context.Context) error {
	var failed []error
	for _, o := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"O13", r.startOne},
		{"O12a", r.burstOnNomad},
		{"O12b", r.burstOnFake},
		{"O14", r.many},
		{"api", r.api},
		{"login", r.logins},
		{"oauth", r.visits},
		{"mixed", r.mixed},
		{"F30", r.hammer},
		{"stock", r.besideStock},
	} {
		if !r.wants(o.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", o.name)
		if err := o.do(ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", o.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// times is the same run, with no more than that many rounds.
func (r *run) times(most int) *run {
	fewer := *r
	fewer.rounds = min(r.rounds, most)
	return &fewer
}

// repeat does something for each round, between a look at the machine before and after it.
func (r *run) repeat(ctx context.Context, do func(ctx context.Context, number int) (report func(round), err error)) error {
	for i := range r.rounds {
		began := r.begin(ctx)
		report, err := do(ctx, i)
		if err != nil {
			return err
		}
		report(r.end(i, began))
	}
	return nil
}
