package schedulertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The environment variables by which the suite tells its server program what to do.
const (
	behaviourVariable = "SCHEDULERTEST_BEHAVIOUR"
	// URLVariable is the Spec.URLVariable of every server of the suite.
	URLVariable = "SCHEDULERTEST_URL"
	// marksVariable names a directory in which every start of the program leaves a file, so that starts can be counted.
	marksVariable = "SCHEDULERTEST_MARKS"
	// heardVariable names a file for which the program waits between its last words and its end; unset, it ends at once.
	heardVariable = "SCHEDULERTEST_HEARD"
)

// The behaviours of the server program.
const (
	serve    = "serve"    // serves HTTP until asked to stop
	stubborn = "stubborn" // serves HTTP, ignores every polite signal, and has a child that does the same
	crash    = "crash"    // prints and exits with code 3
	idle     = "idle"     // what the stubborn one's child does: nothing, deaf to signals
)

// crashLines is how many lines a crashing server prints to its standard error.
const crashLines = 30

// Main is the body of TestMain for a package that runs the suite. Where the environment asks for it, the test binary becomes
// the suite's server program, because that is the one program that exists wherever the tests run.
func Main(m *testing.M) {
	if behaviour := os.Getenv(behaviourVariable); behaviour != "" {
		os.Exit(program(behaviour))
	}
	os.Exit(m.Run())
}

// program is what a scheduler under test runs; it returns the exit code.
func program(behaviour string) int {
	leaveMark(os.Getenv(marksVariable), mark())
	switch behaviour {
	case serve:
		return serveUntilSignal()
	case stubborn:
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
		if err := startIdleChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return listen(os.Environ())
	case crash:
		printCrash()
		awaitFile(os.Getenv(heardVariable))
		return 3
	case idle:
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
		<-time.After(10 * time.Minute) // an upper bound: a scheduler that leaves it behind has failed, and the machine shall recover
		return 0
	}
	fmt.Fprintf(os.Stderr, "unknown behaviour %q\n", behaviour)
	return 2
}

func printCrash() {
	fmt.Println("the server begins")
	for i := range crashLines - 1 {
		fmt.Fprintf(os.Stderr, "\x1b[31mcrash line %d\x1b[0m\n", i+1)
	}
	fmt.Fprintln(os.Stderr, lastCrashLine)
}

// awaitFile returns when there is such a file, at once if path is empty, and after ten minutes in any case.
func awaitFile(path string) {
	if path == "" {
		return
	}
	tooLate := time.After(10 * time.Minute)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-again.C:
		case <-tooLate:
			return
		}
	}
}

const lastCrashLine = "the kernel could not be found"

func serveUntilSignal() int {
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan int, 1)
	go func() { ended <- listen(os.Environ()) }()
	select {
	case s := <-stopped:
		fmt.Println("stopping:", s)
		awaitFile(os.Getenv(heardVariable))
		return 0
	case code := <-ended:
		return code
	}
}

func listen(environ []string) int {
	at, err := url.Parse(os.Getenv(URLVariable))
	if err != nil || at.Host == "" {
		fmt.Fprintf(os.Stderr, "%s=%q is no URL\n", URLVariable, os.Getenv(URLVariable))
		return 2
	}
	fmt.Println("serving at", at)
	server := &http.Server{Addr: at.Host, Handler: handler(at.EscapedPath(), environ), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	return 1
}

// handler answers, under the server's own path only, with the program's environment as a JSON object.
func handler(path string, environ []string) http.Handler {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.EscapedPath(), path) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(env) // the reader notices a cut answer
	})
}

// startIdleChild starts a child in the same process group, as a notebook server starts helpers.
func startIdleChild() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), behaviourVariable+"="+idle)
	return child.Start()
}

// mark names this start by its process ID. Where the program or its parent is the first process, the numbers are a container's own and mean nothing
// outside of it; then the name is one that nobody takes for a process ID.
func mark() string {
	if os.Getpid() != 1 && os.Getppid() != 1 {
		return fmt.Sprint(os.Getpid())
	}
	return fmt.Sprintf("contained-%d-%d", os.Getpid(), time.Now().UnixNano())
}

func leaveMark(dir, name string) {
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
