package api

import (
	"encoding/csv"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/budget"
)

// mountUsage adds the ledger of usage: of all for who may read about all servers, and of oneself for everybody.
func (a *API) mountUsage(r chi.Router) {
	r.With(a.need(listing("read:servers"))).Get("/usage", a.do(a.getLedger))
	r.With(a.need(listing("read:servers"))).Get("/usage.csv", a.do(a.getLedgerCSV))
	r.With(a.need(onUser("read:servers"))).Get("/users/{name}/budgets", a.do(a.getBudgets))
}

// byRun lists the runs themselves.
const byRun = "run"

// ledgerQuery is what is asked of the ledger.
type ledgerQuery struct {
	hub.UsageQuery
	runs bool
}

func (a *API) ledgerQuery(r *http.Request) (q ledgerQuery, err error) {
	now := time.Now().UTC()
	q.Now, q.To = now, now
	q.From = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	args := r.URL.Query()
	for name, into := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if text := args.Get(name); text != "" {
			if *into, err = parseTime(text); err != nil {
				return q, hub.Errorf(hub.Invalid, "The parameter %s must be a date such as 2026-03-31, or a time such as 2026-03-31T12:00:00Z.", name)
			}
		}
	}
	switch by := args.Get("by"); by {
	case "", string(hub.UsageByUser):
		q.By = hub.UsageByUser
	case "all":
		q.By = hub.UsageInAll
	case string(hub.UsageByGroup), string(hub.UsageByProfile):
		q.By = hub.UsageBy(by)
	case byRun:
		q.runs = true
	default:
		return q, hub.Errorf(hub.Invalid, "The parameter by must be user, group, profile, run or all.")
	}
	if v := args.Get("group"); v != "" {
		q.Groups = []string{v}
	}
	if args.Has("profile") {
		q.Profiles = []string{args.Get("profile")}
	}
	return q, a.narrow(r, &q)
}

// narrow leaves of a query what the caller may see, and what they ask for of it.
func (a *API) narrow(r *http.Request, q *ledgerQuery) error {
	filter := httpd.Principal(r).Scopes.Filter("read:servers")
	if name := r.URL.Query().Get("user"); name != "" {
		u, err := a.hub.UserByName(r.Context(), name)
		switch {
		case err != nil && hub.KindOf(err) != hub.NotFound:
			return err
		case err != nil, !filter.Covers(userObject(u)):
			return errHidden
		}
		q.UserIDs = []string{u.ID}
		return nil
	}
	if filter.All() {
		return nil
	}
	names := filter.Names(scope.ByUser)
	if len(names) == 0 {
		return hub.Errorf(hub.Forbidden, "Your credentials do not say whose usage you may see. Ask for one user with the parameter user.")
	}
	q.UserIDs = []string{}
	for _, name := range names {
		u, err := a.hub.UserByName(r.Context(), name)
		switch {
		case hub.KindOf(err) == hub.NotFound:
		case err != nil:
			return err
		default:
			q.UserIDs = append(q.UserIDs, u.ID)
		}
	}
	return nil
}

// amountView is what was used.
type amountView struct {
	MemoryHours float64 `json:"memory_gib_hours"`
	CPUHours    float64 `json:"cpu_hours"`
	DeviceHours float64 `json:"device_hours"`
}

func viewAmount(v budget.Amount) amountView {
	return amountView(v)
}

// sumView is the use of one user, group or profile.
type sumView struct {
	Name  string  `json:"name"`
	Runs  int     `json:"runs"`
	Hours float64 `json:"hours"`
	amountView
}

// runView is one run. What is still running has no end.
type runView struct {
	User       string    `json:"user"`
	Server     string    `json:"server"`
	ServerID   string    `json:"server_id"`
	Groups     []string  `json:"groups"`
	Profile    string    `json:"profile"`
	Generation int64     `json:"generation"`
	Instance   string    `json:"instance"`
	MemoryMB   int64     `json:"memory_mb"`
	Cores      float64   `json:"cores"`
	Devices    int       `json:"devices"`
	Held       *hub.Held `json:"held"`
	Began      any       `json:"began"`
	Ended      any       `json:"ended"`
	Reason     string    `json:"reason"`
}

func viewRun(r hub.UsageRun) runView {
	return runView{
		User: r.UserName, Server: r.ServerName, ServerID: r.ServerID, Groups: append([]string{}, r.Groups...), Profile: r.Profile,
		Generation: r.Generation, Instance: r.Instance, MemoryMB: r.MemoryMB, Cores: r.Cores, Devices: r.Devices, Held: r.Held,
		Began: timestamp(r.Began), Ended: timestamp(r.Ended), Reason: r.Reason,
	}
}

func viewSum(s hub.UsageSum) sumView {
	return sumView{Name: s.Key, Runs: s.Runs, Hours: s.Hours, amountView: viewAmount(s.Amount)}
}

// ledgerPage is a part of the ledger.
type ledgerPage struct {
	From  any   `json:"from"`
	To    any   `json:"to"`
	Items []any `json:"items"`
	// Next is the offset of the next page; null: this is the last.
	Next *int `json:"next"`
}

// maxLedger is how many entries one answer holds; the CSV holds all.
const maxLedger = 1000

func (a *API) getLedger(w http.ResponseWriter, r *http.Request) error {
	if strings.Contains(r.Header.Get("Accept"), "text/csv") {
		return a.getLedgerCSV(w, r)
	}
	q, err := a.ledgerQuery(r)
	if err != nil {
		return err
	}
	if q.Offset, err = number(r, "offset", 0); err != nil {
		return err
	}
	limit, err := number(r, "limit", maxLedger)
	if err != nil {
		return err
	}
	q.Limit = min(max(limit, 1), maxLedger)
	page := ledgerPage{From: timestamp(q.From), To: timestamp(q.To), Items: []any{}}
	if q.runs {
		runs, err := a.hub.UsageRuns(r.Context(), q.UsageQuery)
		if err != nil {
			return err
		}
		for _, run := range runs {
			page.Items = append(page.Items, viewRun(run))
		}
	} else {
		sums, err := a.hub.SumUsage(r.Context(), q.UsageQuery)
		if err != nil {
			return err
		}
		for _, s := range sums {
			page.Items = append(page.Items, viewSum(s))
		}
	}
	if len(page.Items) == q.Limit {
		page.Next = new(q.Offset + q.Limit)
	}
	return httpd.JSON(w, http.StatusOK, page)
}

// getLedgerCSV writes everything that matches, row by row, however much it is.
func (a *API) getLedgerCSV(w http.ResponseWriter, r *http.Request) error {
	q, err := a.ledgerQuery(r)
	if err != nil {
		return err
	}
	if q.runs {
		return writeCSV(w, "usage.csv", []string{
			"user", "server", "groups", "profile", "began", "ended", "memory_mb", "cores", "devices", "reason", "server_id", "generation", "instance",
		}, a.hub.AllUsageRuns(r.Context(), q.UsageQuery), runRow)
	}
	return writeCSV(w, "usage.csv", []string{"name", "runs", "hours", "memory_gib_hours", "cpu_hours", "device_hours"}, a.hub.AllUsage(r.Context(), q.UsageQuery), sumRow)
}

func runRow(r hub.UsageRun) []string {
	return []string{
		csvText(r.UserName), csvText(r.ServerName), csvText(strings.Join(r.Groups, " ")), csvText(r.Profile), csvTime(r.Began), csvTime(r.Ended),
		strconv.FormatInt(r.MemoryMB, 10), csvNumber(r.Cores), strconv.Itoa(r.Devices), csvText(r.Reason), r.ServerID, strconv.FormatInt(r.Generation, 10),
		csvText(r.Instance),
	}
}

func sumRow(s hub.UsageSum) []string {
	return []string{
		csvText(s.Key), strconv.Itoa(s.Runs), csvNumber(s.Hours), csvNumber(s.MemoryHours), csvNumber(s.CPUHours), csvNumber(s.DeviceHours),
	}
}

// writeCSV asks for the first row before anything is written, so that an error is an error. One that comes later ends the connection: half a table must not
// look like a whole one.
func writeCSV[T any](w http.ResponseWriter, name string, head []string, rows iter.Seq2[T, error], row func(T) []string) error {
	out := csv.NewWriter(w)
	begun := false
	begin := func() error {
		begun = true
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		return out.Write(head)
	}
	for v, err := range rows {
		if err != nil {
			if !begun {
				return err
			}
			panic(http.ErrAbortHandler)
		}
		if !begun {
			if err := begin(); err != nil {
				return err
			}
		}
		if err := out.Write(row(v)); err != nil {
			return nil // the reader has gone
		}
	}
	if !begun {
		if err := begin(); err != nil {
			return err
		}
	}
	out.Flush()
	return nil
}

// csvText keeps a spreadsheet from taking what a person typed for a formula.
func csvText(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func csvNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// budgetView is where one limit of usage stands.
type budgetView struct {
	Limit  string     `json:"limit"`
	Group  any        `json:"group"` // whose it is; null: the user's own
	Period string     `json:"period"`
	From   any        `json:"from"`
	Next   any        `json:"next"`
	Level  string     `json:"level"` // below, soft or hard
	Used   amountView `json:"used"`
	Soft   amountView `json:"soft"` // 0: no such limit
	Hard   amountView `json:"hard"`
}

func (a *API) getBudgets(w http.ResponseWriter, r *http.Request) error {
	states, err := a.hub.Budgets(r.Context(), targetOf(r).user)
	if err != nil {
		return err
	}
	views := []budgetView{}
	for _, s := range states {
		views = append(views, budgetView{
			Limit: s.Limit.Name, Group: orNull(s.Group), Period: string(s.Limit.Period), From: timestamp(s.From), Next: timestamp(s.Next),
			Level: [...]string{"below", "soft", "hard"}[s.Level],
			Used:  viewAmount(s.Used), Soft: viewAmount(s.Limit.Soft), Hard: viewAmount(s.Limit.Hard),
		})
	}
	return httpd.JSON(w, http.StatusOK, views)
}
