package nomad_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// agent is a Nomad server without clients, which a test may kill and freeze: jobs are registered and wait for a machine for ever.
type agent struct {
	t       *testing.T
	program string
	config  string
	log     string
	address string // of its HTTP API
	rpc     string
	client  *api.Client

	pid   int
	guard io.Closer // when it closes, the server is killed: so none outlives this process
	ended chan struct{}
}

// startAgents starts so many servers, which together are one cluster.
func startAgents(t *testing.T, n int) []*agent {
	t.Helper()
	program := stack.Program(t, "nomad")
	ports, err := freeport.Find(3 * n)
	if err != nil {
		t.Fatal(err)
	}
	at := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	var gossip []string
	for i := range n {
		gossip = append(gossip, at(ports[3*i+2]))
	}
	all := make([]*agent, n)
	for i := range n {
		own := ports[3*i : 3*i+3]
		dir := t.TempDir()
		a := &agent{t: t, program: program, config: filepath.Join(dir, "agent.json"), log: filepath.Join(dir, "log"), address: "http://" + at(own[0]), rpc: at(own[1])}
		text, err := json.Marshal(map[string]any{
			"name": fmt.Sprintf("server-%d", i), "data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "disable_update_check": true,
			"ports":     map[string]any{"http": own[0], "rpc": own[1], "serf": own[2]},
			"advertise": map[string]any{"http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1"},
			"server": map[string]any{
				"enabled": true, "bootstrap_expect": n, "raft_multiplier": 1,
				"server_join": map[string]any{"retry_join": gossip, "retry_interval": "1s"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(a.config, text, 0o600); err != nil {
			t.Fatal(err)
		}
		a.client = client(t, a.address, "")
		a.start()
		t.Cleanup(a.kill)
		all[i] = a
	}
	for _, a := range all {
		await(t, "the server has a leader", a.hasLeader)
		await(t, "the server can encrypt", a.hasKey)
	}
	if _, err := all[0].client.Namespaces().Register(&api.Namespace{Name: namespace}, nil); err != nil {
		t.Fatal(err)
	}
	return all
}

func (a *agent) hasLeader() error {
	leader, err := a.client.Status().Leader()
	if err == nil && leader == "" {
		err = errors.New("no leader")
	}
	return err
}

// hasKey is nil when variables can be written.
func (a *agent) hasKey() error {
	keys := struct{ Keys []any }{}
	_, err := a.client.Raw().Query("/.well-known/jwks.json", &keys, nil)
	if err == nil && len(keys.Keys) == 0 {
		err = errors.New("no key in the keyring yet")
	}
	return err
}

// start runs the server under a shell that kills it when this process is gone.
func (a *agent) start() {
	a.t.Helper()
	const script = `"$1" agent -config="$2" </dev/null >>"$3" 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", a.program, a.config, a.log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		a.t.Fatal(err)
	}
	if a.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		a.t.Fatal(err)
	}
	a.guard, a.ended = in, make(chan struct{})
	go func() {
		defer close(a.ended)
		_ = cmd.Wait()
	}()
}

// kill ends the server as a crash does, and returns when it is gone.
func (a *agent) kill() {
	_ = a.guard.Close()
	<-a.ended
}

func (a *agent) signal(sig syscall.Signal) {
	a.t.Helper()
	if err := syscall.Kill(a.pid, sig); err != nil {
		a.t.Fatal(err)
	}
}

// scheduler returns one that talks to this address.
func schedulerAt(t *testing.T, address, prefix string) *nomad.Scheduler {
	t.Helper()
	return open(t, nomad.Options{
		Client: client(t, address, ""), Namespace: namespace, Jobspec: notebookJobspec(t), JobPrefix: prefix,
		Variables: map[string]string{"command": "/bin/true", "service_provider": "nomad"},
	})
}

// faults is a proxy for TCP that can hold bytes back while connections stay, and cut connections.
type faults struct {
	address  string
	listener net.Listener
	group    sync.WaitGroup

	mu     sync.Mutex
	target string             // of new connections, as host:port
	now    *wire              // of new connections
	wires  map[*wire]struct{} // all that have connections, or will
}

// wire is what connections that were made between two faults share.
type wire struct {
	mu     sync.Mutex
	conns  []net.Conn
	frozen chan struct{} // nil: bytes flow; else closed when they do again
}

func startFaults(t *testing.T, target string) *faults {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &faults{address: "http://" + listener.Addr().String(), listener: listener, target: strings.TrimPrefix(target, "http://"), now: &wire{}, wires: map[*wire]struct{}{}}
	f.wires[f.now] = struct{}{}
	f.group.Go(f.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		f.thaw()
		f.cut()
		f.group.Wait()
	})
	return f
}

func (f *faults) accept() {
	for {
		near, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		target := f.target
		f.mu.Unlock()
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
		if err != nil {
			_ = near.Close()
			continue
		}
		f.mu.Lock()
		w := f.now
		f.mu.Unlock()
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		f.group.Go(func() { w.copy(far, near) })
		f.group.Go(func() { w.copy(near, far) })
	}
}

// copy passes bytes on until one side closes, and waits while they are held back.
func (w *wire) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		frozen := w.frozen
		w.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen == nil {
		w.frozen = make(chan struct{})
	}
}

// freezeOld holds back the bytes of all connections that there are. New ones are well.
func (f *faults) freezeOld() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.freeze()
	f.now = &wire{}
	f.wires[f.now] = struct{}{}
}

// freeze holds back the bytes of all connections, new ones included.
func (f *faults) freeze() {
	f.freezeOld()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.freeze()
}

// thaw lets all bytes go on.
func (f *faults) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.wires {
		w.mu.Lock()
		if w.frozen != nil {
			close(w.frozen)
			w.frozen = nil
		}
		w.mu.Unlock()
	}
}

// lead has new connections go elsewhere, and cuts those that there are.
func (f *faults) lead(target string) {
	f.mu.Lock()
	f.target = strings.TrimPrefix(target, "http://")
	f.mu.Unlock()
	f.cut()
}

// cut closes all connections that there are.
func (f *faults) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.wires {
		w.mu.Lock()
		for _, conn := range w.conns {
			_ = conn.Close()
		}
		w.conns = nil
		w.mu.Unlock()
	}
}
