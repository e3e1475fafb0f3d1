package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/internal/chp"
	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/pyenv"
)

//go:embed stock/jupyterhub_config.py stock/seed.py
var stockFiles embed.FS

// stockHub is JupyterHub as its makers ship it, on the core of what is measured. Its spawner starts nothing, and its table of routes is kept by this program, so that only
// its own work is measured.
type stockHub struct {
	*child
	dir      string
	python   pyenv.Env
	env      []string
	dsn      string // "": SQLite in the folder
	url      string
	token    string
	notebook int    // port of what answers as every server
	servers  *child // which is this
	routes   chp.Table
	proxy    *http.Server // serves the routes
	client   *http.Client
}

// findStock returns where JupyterHub is. The error wraps [fs.ErrNotExist] if it is not on this machine.
func findStock(ctx context.Context) (pyenv.Env, error) {
	return pyenv.Find(ctx, pyenv.Options{Name: "hub5"})
}

// hasStock tells whether JupyterHub is measured beside ours with so many users.
func (r *run) hasStock(ctx context.Context, users int) bool {
	if !slices.Contains(r.stock, users) {
		return false
	}
	_, err := findStock(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: no JupyterHub to compare with:", err)
	}
	return err == nil
}

// newStock prepares one without users, on the database at that URL; "" is SQLite in the folder. The error wraps [fs.ErrNotExist] if JupyterHub is not on this machine.
func newStock(ctx context.Context, dir, self, dsn string) (h *stockHub, err error) {
	env, err := findStock(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freeport.Find(3)
	if err != nil {
		return nil, err
	}
	h = &stockHub{
		dir: dir, python: env, dsn: dsn, token: rand.Text(), notebook: ports[2],
		url: "http://" + loopback(ports[0]), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
	for _, name := range []string{"jupyterhub_config.py", "seed.py"} {
		text, err := stockFiles.ReadFile("stock/" + name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	proxy, routes, err := serveRoutes(ctx, &h.routes)
	if err != nil {
		return nil, err
	}
	h.proxy = proxy
	h.env = []string{
		"BENCH_DATABASE=" + h.database(), "BENCH_HUB=" + h.url, "BENCH_PROXY=http://" + loopback(ports[1]), "BENCH_ROUTES=" + routes,
		"BENCH_TOKEN=" + h.token, "BENCH_NOTEBOOK_PORT=" + strconv.Itoa(h.notebook),
		"BENCH_SECRETS=" + filepath.Join(dir, secretsFile),
	}
	h.servers, err = spawn(dir, program{
		name: "servers", core: coreForRest, path: self,
		args: []string{"notebooks", "-first", strconv.Itoa(h.notebook), "-last", strconv.Itoa(h.notebook)},
	})
	if err != nil {
		return nil, err
	}
	return h, h.servers.await(ctx, time.Minute, func(ctx context.Context) error { return answers(ctx, "http://"+loopback(h.notebook)+"/") })
}

// stockFile is its database where that is SQLite's.
func (h *stockHub) stockFile() string { return filepath.Join(h.dir, "jupyterhub.sqlite") }

// database is the database's URL as SQLAlchemy writes it. Its driver is named: which one is taken otherwise depends on SQLAlchemy's version, and JupyterHub's own examples
// have this one.
func (h *stockHub) database() string {
	if h.dsn == "" {
		return "sqlite:///" + h.stockFile()
	}
	_, rest, _ := strings.Cut(h.dsn, "://")
	return "postgresql+psycopg2://" + rest
}

// countWrites opens the counter of its database.
func (h *stockHub) countWrites(ctx context.Context) (writeCounter, error) {
	if h.dsn == "" {
		return sqliteHeader{h.stockFile()}, nil
	}
	return countWrites(ctx, h.dsn)
}

// seed makes sure that there are that many users, and that the first of them have a server that runs. The hub must have made its tables, and must not run meanwhile.
func (h *stockHub) seed(ctx context.Context, users, running int) error {
	p, err := spawn(h.dir, program{
		name: "seed", core: coreForRest, path: h.python.Program("python"),
		args: []string{"seed.py", h.database(), strconv.Itoa(users), strconv.Itoa(running), strconv.Itoa(h.notebook)},
	})
	if err != nil {
		return err
	}
	if err := waitFor(ctx, p.ended, "the users of JupyterHub"); err != nil {
		p.kill()
		return err
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("making the users of JupyterHub failed; the log is %s", p.log)
	}
	return nil
}

// launch starts the process with an empty table of routes, and does not wait for it.
func (h *stockHub) launch() (err error) {
	h.routes.Clear()
	h.child, err = spawn(h.dir, program{name: "jupyterhub", core: coreUnderTest, path: h.python.Program("jupyterhub"), args: []string{"-f", "jupyterhub_config.py"}, env: h.env})
	return err
}

// stockPatience is how long it may take to start; its first start gives a role to each user.
const stockPatience = 10 * time.Minute

// start starts the process and returns when it answers and has told its proxy of so many servers.
func (h *stockHub) start(ctx context.Context, running int) (api, routes float64, err error) {
	if err := h.launch(); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := h.await(ctx, stockPatience, h.asked); err != nil {
		return 0, 0, err
	}
	api = since(began)
	err = h.await(ctx, stockPatience, func(context.Context) error {
		if have := h.routes.Below("/user/"); have < running {
			return fmt.Errorf("%d of %d routes", have, running)
		}
		return nil
	})
	return api, since(began), err
}

// prepare has it make its tables and its roles, which its first start does, and that many users.
func (h *stockHub) prepare(ctx context.Context, users int) error {
	if _, _, err := h.start(ctx, 0); err != nil {
		return err
	}
	h.kill()
	return h.seed(ctx, users, 0)
}

// openStock opens one with that many users, which was started before.
func (r *run) openStock(ctx context.Context, name string, kind databaseKind, users int) (subject, error) {
	dir, dsn, err := r.room(ctx, fmt.Sprintf("%s-stock-%s-%d", name, kind.name, users), kind)
	if err != nil {
		return subject{}, err
	}
	h, err := newStock(ctx, dir, r.self, dsn)
	if err != nil {
		return subject{}, err
	}
	s := subject{underTest: h, whose: stock, database: kind.name, users: users, public: h.url, url: h.url, token: h.token}
	if err := h.prepare(ctx, users); err != nil {
		return s, err
	}
	if err := h.serve(ctx, users, 0); err != nil {
		return s, err
	}
	version, err := h.version(ctx)
	r.note("JupyterHub", version)
	return s, err
}

// serve starts it, and has it read all users once, as somebody has done at a hub that has served for a while.
func (h *stockHub) serve(ctx context.Context, users, running int) error {
	if _, _, err := h.start(ctx, running); err != nil {
		return err
	}
	return h.listUsers(ctx, users)
}

// runAll writes the servers into its database: to start ten thousand would take it minutes.
func (h *stockHub) runAll(ctx context.Context, users int) error {
	h.kill()
	if err := h.seed(ctx, users, users); err != nil {
		return err
	}
	return h.serve(ctx, users, users)
}

func (h *stockHub) startFirst(ctx context.Context, n int) error {
	return newStarter(h.url, h.token).askAll(ctx, http.MethodPost, 0, n)
}

// asked is nil if the API answers whose the token is.
func (h *stockHub) asked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := h.get(ctx, "/hub/api/user")
	return err
}

func (h *stockHub) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "token "+h.token)
	res, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	return text, err
}

// version is JupyterHub's own.
func (h *stockHub) version(ctx context.Context) (string, error) {
	text, err := h.get(ctx, "/hub/api/")
	var about struct{ Version string }
	if err == nil {
		err = json.Unmarshal(text, &about)
	}
	return about.Version, err
}

// listUsers reads all pages of all users.
func (h *stockHub) listUsers(ctx context.Context, users int) error {
	const page = 200
	for offset := 0; offset <= users; offset += page {
		if _, err := h.get(ctx, fmt.Sprintf("/hub/api/users?limit=%d&offset=%d", page, offset)); err != nil {
			return err
		}
	}
	return nil
}

// close ends it at once: it would go through all its servers first.
func (h *stockHub) close() {
	if h == nil {
		return
	}
	if h.child != nil {
		h.kill()
	}
	h.servers.stop()
	_ = h.proxy.Close()
}

// serveRoutes serves the table on the loopback interface, as JupyterHub's proxy would.
func serveRoutes(ctx context.Context, table *chp.Table) (s *http.Server, url string, err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	s = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: table}
	go func() { _ = s.Serve(l) }()
	return s, "http://" + l.Addr().String(), nil
}
