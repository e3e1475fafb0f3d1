package nomad_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/nomad/api"
)

// attackVariable holds, in the environment of a notebook of F34, what it is to attack: an [attackPlan] as JSON.
const attackVariable = "NOMADHUB_TEST_ATTACK"

// attackPlan is what an attacker knows. It is much: what another notebook is called and where its files lie need not be guessed.
type attackPlan struct {
	Nomad, Consul, Vault []string // URLs; each is tried

	OwnJob, OtherJob, OtherService, OtherAlloc, OtherVolume, Node string
	OtherSecret, HubSecret                                        string // what is looked for in the environment of other processes
	Files                                                         map[string]string
	Dials                                                         map[string]string // name of the probe: HOST:PORT, or the path of a socket
}

// What came of a probe.
const (
	probeOpen   = "open"   // the attacker got what was asked for
	probeDenied = "denied" // refused, or there is nothing to be seen
	probeBroken = "broken" // an answer that proves neither
)

// probeResult is one line of the attacker's report.
type probeResult struct {
	Probe, Outcome string
	Details        []string // each attempt that was not simply refused, or the first that was
}

// The last line of a report.
const attackEnd = "the attack has ended"

// attack is the program of the attacker: it runs every probe, prints a line for each, and stays until it is stopped.
func attack(plan string) int {
	a := &attacker{client: &http.Client{Timeout: 30 * time.Second}}
	if err := json.Unmarshal([]byte(plan), &a.attackPlan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	a.collect()
	a.attackNomad()
	a.attackConsul()
	a.attackVault()
	a.attackMachine()
	fmt.Println(attackEnd)
	<-time.After(10 * time.Minute) // an upper bound, should nobody stop it
	return 0
}

type attacker struct {
	attackPlan
	client *http.Client
	tokens map[string]string // that it found, or made of what it found; by a name
}

// collect gathers every token that the notebook's own surroundings hold.
func (a *attacker) collect() {
	a.tokens = map[string]string{"nobody": ""}
	for _, name := range []string{"NOMAD_TOKEN", "CONSUL_TOKEN", "CONSUL_HTTP_TOKEN", "VAULT_TOKEN"} {
		if token := os.Getenv(name); token != "" {
			a.tokens[name] = token
		}
	}
	_ = filepath.WalkDir(os.Getenv("NOMAD_SECRETS_DIR"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if text, err := os.ReadFile(path); err == nil && len(text) < 8<<10 && !strings.ContainsAny(strings.TrimSpace(string(text)), "\n= ") {
				token := strings.TrimSpace(string(text))
				if !slices.Contains(slices.Collect(maps.Values(a.tokens)), token) {
					a.tokens[filepath.Base(path)] = token
				}
			}
		}
		return nil // what cannot be read is no token
	})
}

// report prints what came of a probe. One success among many attempts is a success.
func (a *attacker) report(probe string, attempts []attempt) {
	r := probeResult{Probe: probe, Outcome: probeDenied}
	for _, t := range attempts {
		if t.outcome != probeDenied {
			r.Details = append(r.Details, t.detail)
		}
		if t.outcome == probeOpen || t.outcome == probeBroken && r.Outcome == probeDenied {
			r.Outcome = t.outcome
		}
	}
	if len(attempts) == 0 {
		r.Outcome = probeBroken
	} else if r.Details == nil {
		r.Details = []string{attempts[0].detail}
	}
	line, err := json.Marshal(r)
	if err != nil {
		line = []byte(err.Error())
	}
	fmt.Printf("%s\n", line)
}

type attempt struct{ outcome, detail string }

// request is one probe of an HTTP API.
type request struct {
	name, method, path, body string
	// find, if set, is what an answer must hold to be a success: a list without it shows only what everybody may know.
	find string
	// refusal is a status beside 401 and 403 that says no.
	refusal int
}

// ask tries a request at every address with every token.
func (a *attacker) ask(probe string, addresses []string, header string, r request) {
	var attempts []attempt
	for _, address := range addresses {
		for name, token := range a.tokens {
			if header == "X-Vault-Token" && isJWT(token) {
				continue // Vault takes these at a login only, and fails where they stand for a token
			}
			attempts = append(attempts, persist(func() attempt { return a.askOnce(address, header, name, token, r) }))
		}
	}
	a.report(probe+": "+r.name, attempts)
}

func (a *attacker) askOnce(address, header, name, token string, r request) attempt {
	client, base := a.client, address
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		base = "http://socket"
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
		client = &http.Client{Timeout: a.client.Timeout, Transport: transport}
	}
	req, err := http.NewRequest(r.method, base+r.path, strings.NewReader(r.body))
	if err != nil {
		return attempt{probeBroken, err.Error()}
	}
	if token != "" {
		req.Header.Set(header, token)
	}
	detail := fmt.Sprintf("%s %s at %s as %s: ", r.method, r.path, address, name)
	res, err := client.Do(req)
	if err != nil {
		return attempt{outcomeOf(err), detail + err.Error()}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return attempt{probeBroken, detail + err.Error()}
	}
	return attempt{r.judge(res.StatusCode, strings.TrimSpace(string(text))), fmt.Sprintf("%s%d %.200s", detail, res.StatusCode, text)}
}

// judge says what an answer means.
func (r request) judge(status int, text string) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == r.refusal:
		return probeDenied
	case status >= 300 && refuses(text), text == "Permission denied": // the client's file API has said 200 before it looks at rights
		return probeDenied
	case status >= 300:
		return probeBroken
	case text == "", text == "[]", text == "{}", text == "null":
		if r.method == http.MethodGet {
			return probeDenied // a list from which everything was taken
		}
		return probeOpen
	case r.find != "" && !strings.Contains(text, r.find):
		return probeDenied
	}
	return probeOpen
}

// refuses knows words of a refusal. Nomad says of an allocation that somebody may not see that it is unknown, and gives no status of its own.
func refuses(text string) bool {
	return slices.ContainsFunc([]string{"permission denied", "failed to resolve acl token", "unknown allocation", "(unauthorized)", "(forbidden)"}, func(words string) bool {
		return strings.Contains(strings.ToLower(text), words)
	})
}

// outcomeOf says what an error of the system means: that there is no way, or nothing that is understood.
func outcomeOf(err error) string {
	for _, no := range []error{
		os.ErrNotExist, os.ErrPermission, syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR,
	} {
		if errors.Is(err, no) {
			return probeDenied
		}
	}
	return probeBroken
}

func outcome(err error) attempt {
	if err == nil {
		return attempt{probeOpen, "it was done"}
	}
	return attempt{outcomeOf(err), err.Error()}
}

// attackMachine tries what is beside the APIs: files, processes, ports and the kernel.
func (a *attacker) attackMachine() {
	for name, path := range a.Files {
		a.report("file: "+name, []attempt{readAny(path)})
	}
	for name, address := range a.Dials {
		network := "tcp"
		if strings.HasPrefix(address, "/") {
			network = "unix"
		}
		conn, err := net.DialTimeout(network, address, a.client.Timeout)
		if err == nil {
			_ = conn.Close()
		}
		a.report("port: "+name, []attempt{outcome(err)})
	}
	a.report("process: environment of the other notebook", environWith(a.OtherSecret, a.OtherJob))
	a.report("process: environment of the hub", environWith(a.HubSecret, ""))
	a.report("kernel: become root", []attempt{outcome(syscall.Setuid(0))})
	a.report("kernel: mount", []attempt{outcome(syscall.Mount("none", os.TempDir(), "tmpfs", 0, ""))})
	a.report("kernel: listen to the network", []attempt{outcome(rawSocket())})
	a.report("kernel: make a device", []attempt{outcome(syscall.Mknod(filepath.Join(os.TempDir(), "f34"), syscall.S_IFBLK|0o600, 8<<8))})
}

// readAny reads a file or lists a folder.
func readAny(path string) attempt {
	info, err := os.Stat(path)
	if err != nil {
		return outcome(err)
	}
	if info.IsDir() {
		_, err = os.ReadDir(path)
		return outcome(err)
	}
	file, err := os.Open(path)
	if err == nil {
		_ = file.Close()
	}
	return outcome(err)
}

// environWith looks through the environments of all other processes that can be seen.
func environWith(secret, job string) []attempt {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		return []attempt{{probeBroken, "no process is to be seen, not even this one"}}
	}
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(env), secret) && !strings.Contains(string(env), attackVariable+"=") {
			return []attempt{{probeOpen, file + " " + job}}
		}
	}
	return []attempt{{probeDenied, fmt.Sprintf("in none of %d processes", len(files))}}
}

func rawSocket() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_TCP)
	if err == nil {
		_ = syscall.Close(fd)
	}
	return err
}

// execOther tries to run a program in the other notebook, which is no plain request.
func (a *attacker) execOther(addresses []string) {
	var attempts []attempt
	for _, address := range addresses {
		for name, token := range a.tokens {
			attempts = append(attempts, persist(func() attempt { return a.execOnce(address, name, token) }))
		}
	}
	a.report("Nomad: run a program in the other notebook", attempts)
}

func (a *attacker) execOnce(address, name, token string) attempt {
	detail := "exec at " + address + " as " + name + ": "
	client, err := api.NewClient(&api.Config{Address: address, SecretID: token, Namespace: namespace})
	if err != nil {
		return attempt{probeBroken, detail + err.Error()}
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), a.client.Timeout)
	defer cancel()
	_, err = client.Allocations().Exec(ctx, &api.Allocation{ID: a.OtherAlloc, NodeID: a.Node, Namespace: namespace}, "notebook", false,
		[]string{"/bin/sh", "-c", "exit 0"}, strings.NewReader(""), io.Discard, io.Discard, nil, nil)
	switch {
	case err == nil:
		return attempt{probeOpen, detail + "it was done"}
	case refuses(err.Error()):
		return attempt{probeDenied, detail + err.Error()}
	}
	return attempt{outcomeOf(err), detail + err.Error()}
}

// persist tries again what was cut short: a connection may be closed before its answer was read, and only an answer proves anything.
func persist(try func() attempt) attempt {
	var made attempt
	for range 5 {
		if made = try(); made.outcome != probeBroken {
			break
		}
	}
	return made
}
