package schedulertest

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

// FakeHarness runs the suite's server program inside the test, driven by a Fake.
func FakeHarness(t *testing.T) Harness {
	t.Helper()
	world := &inProcess{running: make(map[string]*httptest.Server)}
	world.fake = NewFake()
	world.fake.OnStart, world.fake.OnStop = world.start, world.stop
	t.Cleanup(world.close)
	return Harness{
		Scheduler: world.fake,
		Reopen:    func(*testing.T) scheduler.Scheduler { return world.fake.Reopen() },
	}
}

// inProcess does what the suite's program does, without a process.
type inProcess struct {
	fake *Fake

	mu      sync.Mutex
	running map[string]*httptest.Server
}

func (p *inProcess) start(spec scheduler.Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	behaviour := spec.Env[behaviourVariable]
	p.mark(spec)
	if behaviour == stubborn {
		p.mark(spec) // its child
	}
	if behaviour == crash {
		p.fake.Place(spec.ID, "127.0.0.1:1")
		p.fake.Run(spec.ID)
		p.fake.Print(spec.ID, "the server begins")
		for i := range crashLines - 1 {
			p.fake.Print(spec.ID, fmt.Sprintf("crash line %d", i+1))
		}
		p.fake.Print(spec.ID, lastCrashLine)
		p.fake.KillFor(spec.ID, scheduler.CauseExited, "The server ended with exit code 3.")
		return
	}
	server := httptest.NewUnstartedServer(nil)
	address := server.Listener.Addr().String()
	server.Config.Handler = handler(spec.URLPath, environ(spec, "http://"+address+spec.URLPath))
	server.Start()
	p.running[spec.ID] = server
	p.fake.Print(spec.ID, "serving at http://"+address+spec.URLPath)
	p.fake.Place(spec.ID, address)
	p.fake.Run(spec.ID)
}

func (p *inProcess) mark(spec scheduler.Spec) {
	leaveMark(spec.Env[marksVariable], "in-process-"+rand.Text()) // several fakes may share the folder
}

func environ(spec scheduler.Spec, url string) []string {
	list := []string{spec.URLVariable + "=" + url}
	for _, env := range []map[string]string{spec.Env, spec.Secrets} {
		for name, value := range env {
			list = append(list, strings.Join([]string{name, value}, "="))
		}
	}
	return list
}

func (p *inProcess) stop(spec scheduler.Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if server := p.running[spec.ID]; server != nil {
		p.fake.Print(spec.ID, "stopping: terminated")
		server.Close()
		delete(p.running, spec.ID)
	}
}

func (p *inProcess) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, server := range p.running {
		server.Close()
	}
}
