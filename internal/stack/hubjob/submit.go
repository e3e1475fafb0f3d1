package hubjob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclwrite"
	nomad "github.com/hashicorp/nomad/api"
	"github.com/zclconf/go-cty/cty"

	"github.com/nomadhub/nomadhub/internal/stack"
)

// Options are the values of the hub job's variables that differ between its users. Zero values keep the jobspec's defaults,
// except User: "" is the account of the Nomad agent.
type Options struct {
	Binary      string // absolute path
	User        string
	PublicURL   string
	ServersURL  string // at which notebooks reach the hub; "" is the address that it listens on
	PublicPort  int
	ServersPort int
	MetricsPort int
	LogLevel    string
	// NomadCreds is where in Vault the hub gets its token for Nomad; "": it shows its workload identity.
	NomadCreds string
	// Config is the HCL of login and authenticators.
	Config string
	// NotebookVariables are for the notebooks' jobspec; NotebookJobspec, if not empty, replaces it.
	NotebookVariables map[string]string
	NotebookJobspec   string
}

// variables is the job's variable file.
func (o Options) variables(s *stack.Stack) string {
	values := map[string]cty.Value{
		"binary": cty.StringVal(o.Binary), "user": cty.StringVal(o.User), "config": cty.StringVal(o.Config),
		"vault_address": cty.StringVal(s.Vault.Address), "consul_address": cty.StringVal(s.Consul.Address),
		// Idle hubs on a small machine must leave room for notebooks.
		"cpu": cty.NumberIntVal(200),
	}
	for name, text := range map[string]string{"public_url": o.PublicURL, "servers_url": o.ServersURL, "nomad_creds": o.NomadCreds, "log_level": o.LogLevel, "notebook_jobspec": o.NotebookJobspec} {
		if text != "" {
			values[name] = cty.StringVal(text)
		}
	}
	for name, port := range map[string]int{"public_port": o.PublicPort, "servers_port": o.ServersPort, "metrics_port": o.MetricsPort} {
		if port != 0 {
			values[name] = cty.NumberIntVal(int64(port))
		}
	}
	if len(o.NotebookVariables) > 0 {
		notebook := map[string]cty.Value{}
		for name, text := range o.NotebookVariables {
			notebook[name] = cty.StringVal(text)
		}
		values["notebook_variables"] = cty.MapVal(notebook)
	}
	file := hclwrite.NewEmptyFile()
	for name, value := range values {
		file.Body().SetAttributeValue(name, value)
	}
	return string(file.Bytes())
}

// Parse has Nomad parse the hub's jobspec.
func Parse(s *stack.Stack, o Options) (*nomad.Job, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "jobspecs", "hub.nomad.hcl"))
	if err != nil {
		return nil, err
	}
	job, err := s.Nomad.Client.Jobs().ParseHCLOpts(&nomad.JobsParseRequest{JobHCL: string(text), Variables: o.variables(s), Canonicalize: true})
	if err != nil {
		return nil, fmt.Errorf("parse hub.nomad.hcl: %w", err)
	}
	return job, nil
}

// Submit registers the hub's job and returns when it answers and is ready. If it does not become so, the error holds the
// end of its log.
func Submit(ctx context.Context, s *stack.Stack, o Options) error {
	job, err := Parse(s, o)
	if err != nil {
		return err
	}
	w := (&nomad.WriteOptions{Namespace: Namespace}).WithContext(ctx)
	if _, _, err := s.Nomad.Client.Jobs().Register(job, w); err != nil {
		return fmt.Errorf("submit the hub's job: %w", err)
	}
	metrics := o.MetricsPort
	if metrics == 0 {
		metrics = 8082
	}
	return awaitReady(ctx, s, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(metrics))+"/ready")
}

const readyTimeout = 2 * time.Minute

func awaitReady(ctx context.Context, s *stack.Stack, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := answers(ctx, url)
		if err == nil {
			return nil
		}
		if failed := failure(ctx, s); failed != nil {
			return failed
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the hub did not become ready: %w; its log ends:\n%s", err, LogTail(context.WithoutCancel(ctx), s, 40))
		}
	}
}

func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, res.Status, body)
	}
	return nil
}

// restartsMeanFailure is how often the task may start again before it counts as one that never will.
const restartsMeanFailure = 3

// failure tells why the hub's task does not run, where Nomad knows it.
func failure(ctx context.Context, s *stack.Stack) error {
	alloc, _ := allocation(ctx, s) // not placed yet, or Nomad is busy: the deadline decides
	if alloc == nil {
		return nil
	}
	state := alloc.TaskStates[taskName]
	if state == nil || !state.Failed && state.Restarts < restartsMeanFailure && alloc.ClientStatus != nomad.AllocClientStatusFailed {
		return nil
	}
	var events []string
	for _, e := range state.Events {
		events = append(events, e.DisplayMessage)
	}
	return fmt.Errorf("the hub does not start: %s; its log ends:\n%s", strings.Join(events, ", "), LogTail(ctx, s, 40))
}

// allocation returns the newest allocation of the hub's job, or nil.
func allocation(ctx context.Context, s *stack.Stack) (*nomad.AllocationListStub, error) {
	allocs, _, err := s.Nomad.Client.Jobs().Allocations(JobID, true, (&nomad.QueryOptions{Namespace: Namespace}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	var newest *nomad.AllocationListStub
	for _, a := range allocs {
		if newest == nil || a.CreateIndex > newest.CreateIndex {
			newest = a
		}
	}
	return newest, nil
}

// LogTail returns the last n lines that the hub printed, on either output, or a sentence that says why there are none.
func LogTail(ctx context.Context, s *stack.Stack, n int) string {
	alloc, err := allocation(ctx, s)
	if err != nil || alloc == nil {
		return errors.Join(errors.New("(the hub has no allocation)"), err).Error()
	}
	var all []string
	for _, name := range []string{"stdout", "stderr"} {
		file := filepath.Join(s.Dir, "nomad", "alloc", alloc.ID, "alloc", "logs", taskName+"."+name+".0")
		text, err := os.ReadFile(file)
		if err != nil {
			continue // that output was never used
		}
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		all = append(all, lines[max(0, len(lines)-n):]...)
	}
	return strings.Join(all, "\n")
}
