package stack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"

	"github.com/nomadhub/nomadhub/internal/leftover"
)

// TestServersComeBackOnTheirData kills each server the hard way: what it knew is there again, and a running job never stopped.
func TestServersComeBackOnTheirData(t *testing.T) {
	t.Parallel()
	s := NewOwn(t, Options{})
	ctx := t.Context()
	runProbe(t, s)
	url := probeURL(t, s)
	if _, err := s.Consul.Client.KV().Put(&consul.KVPair{Key: "k", Value: []byte("v")}, nil); err != nil {
		t.Fatal(err)
	}

	for _, p := range []*Process{s.Nomad.Process, s.Nomad.Node, s.Vault.Process, s.Consul.Process} {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if p.PID() != 0 {
			t.Errorf("%s is said to run after Kill", p.name)
		}
		if got, err := get(ctx, url); got != "from-vault" {
			t.Errorf("while %s is away the job answers %q, %v", p.name, got, err)
		}
		if err := p.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}

	kv, err := s.Vault.Client.KVv2(s.Vault.Mount).Get(ctx, "default/probe/config")
	if err != nil || kv.Data["word"] != "from-vault" {
		t.Errorf("Vault's secret after a crash: %v, %v", kv, err)
	}
	pair, _, err := s.Consul.Client.KV().Get("k", nil)
	if err != nil || pair == nil || string(pair.Value) != "v" {
		t.Errorf("Consul's key after a crash: %v, %v", pair, err)
	}
	allocs, _, err := s.Nomad.Client.Jobs().Allocations("probe", true, nil)
	if err != nil || len(allocs) != 1 || allocs[0].ClientStatus != "running" {
		t.Errorf("Nomad's job after a crash: %+v, %v", allocs, err)
	}
	waitHealthy(t, s, "probe")
	if err := s.Consul.Restart(ctx); err != nil {
		t.Error(err)
	}
}

func probeURL(t *testing.T, s *Stack) string {
	t.Helper()
	found, _, err := s.Consul.Client.Health().Service("probe", "", true, nil)
	if err != nil || len(found) != 1 {
		t.Fatalf("instances of probe: %v, %v", found, err)
	}
	return fmt.Sprintf("http://%s:%d/", found[0].Service.Address, found[0].Service.Port)
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// childVariable makes this test binary be the process that TestNothingIsLeftBehind kills.
const childVariable = "NOMADHUB_STACK_TEST_CHILD"

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	if os.Getenv(childVariable) == "1" {
		s := NewOwn(t, Options{})
		runProbe(t, s)
		fmt.Printf("dir=%s\n", s.Dir)
		<-t.Context().Done() // until this process is killed
		return
	}
	New(t) // skips where there is no stack
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeftBehind$")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir := readDir(t, out)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	left := leftovers(dir)
	if n := len(left.Processes()); n < 5 { // three servers, the client and the job's task
		t.Fatalf("only %d processes are the stack's", n)
	}
	allocs, err := filepath.Glob(filepath.Join(dir, "nomad/alloc/*-*"))
	if err != nil || len(allocs) != 1 {
		t.Fatalf("folders of allocations: %v, %v", allocs, err)
	}
	id := filepath.Base(allocs[0])
	if os.Geteuid() == 0 && len(leftover.Named(id)) == 0 {
		t.Errorf("the allocation %s has no control group, so nothing is shown by its absence", id)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err = poll(ctx, pollEvery, func(context.Context) error {
		if pids := left.Processes(); len(pids) > 0 {
			return fmt.Errorf("processes %v are left", pids)
		}
		if mounts, err := left.Mounts(); err != nil || len(mounts) > 0 {
			return fmt.Errorf("mounts %v are left, %w", mounts, err)
		}
		if named := leftover.Named(id); len(named) > 0 {
			return fmt.Errorf("%v are left", named)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func readDir(t *testing.T, out io.Reader) string {
	t.Helper()
	var lines []string
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if dir, ok := strings.CutPrefix(scan.Text(), "dir="); ok {
			return dir
		}
		lines = append(lines, scan.Text())
	}
	t.Fatalf("the child did not start its stack:\n%s", strings.Join(lines, "\n"))
	return ""
}

func TestDexAndPostgresBesideTheRest(t *testing.T) {
	t.Parallel()
	s := NewOwn(t, Options{Postgres: true, Dex: &DexOptions{ClientID: "nomadhub", ClientSecret: "x", RedirectURIs: []string{"http://127.0.0.1:1/cb"}}})
	got, err := get(t.Context(), s.Dex.Issuer+"/.well-known/openid-configuration")
	if err != nil || !strings.Contains(got, `"issuer": "`+s.Dex.Issuer+`"`) {
		t.Errorf("discovery document: %v\n%s", err, got)
	}
	if err := s.Postgres.Exec(t.Context(), "nomadhub", "CREATE TABLE t (x int)"); err != nil {
		t.Error(err)
	}
}
