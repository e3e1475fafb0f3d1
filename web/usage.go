package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/budget"
)

// usageView is the ledger of usage: of everybody for administrators, of oneself for everybody else.
type usageView struct {
	chrome
	All      bool   // may see everybody
	From, To string // days; To is the last one that is counted
	By       string
	Bys      []option
	Who      string // only this user
	Group    string
	Profile  string
	Sums     []usageSumView
	Runs     []usageRunView
	Budgets  []budgetView
	Cut      bool // there is more than the page shows
	Problem  string
	FormURL  string
	CSVURL   string
	ByHeader string
}

// option is one of several to choose from.
type option struct {
	Value, Label string
	Chosen       bool
}

type usageSumView struct {
	Name                        string
	Runs                        int
	Hours, Memory, CPU, Devices string
}

type usageRunView struct {
	User, Server, Profile string
	Began, Ended          moment
	Held, Reason          string
}

// budgetView is where one limit of usage stands.
type budgetView struct {
	Title string
	State string // "below", "soft" or "hard"
	Lines []budgetLine
	Next  moment
}

// budgetLine is one resource of a limit.
type budgetLine struct {
	What, Used, Most string
	Percent          int
}

// scopeReadServers shows whose servers somebody may see, and so whose usage.
const scopeReadServers = "read:servers"

// maxUsageRows bounds what the page of usage lists; the table for spreadsheets has all.
const maxUsageRows = 200

func (h *Web) usage(w http.ResponseWriter, r *http.Request) error {
	p := httpd.Principal(r)
	v := usageView{
		chrome: h.chrome(w, r, "Usage", "usage"), All: p.Can(scopeReadServers, everything), FormURL: h.urls.Hub() + "usage",
	}
	q, err := h.usageQuery(r, p, &v)
	if err != nil {
		return err
	}
	v.CSVURL = v.csvURL(h.urls.Hub())
	err = h.fillUsage(r, q, &v)
	if bad, ok := errors.AsType[*hub.Error](err); ok && bad.Kind == hub.Invalid {
		v.Problem, err = bad.Message, nil
	}
	if err != nil {
		return err
	}
	states, err := h.hub.Budgets(r.Context(), p.User)
	if err != nil {
		return err
	}
	for _, s := range states {
		v.Budgets = append(v.Budgets, viewBudget(s, time.Now()))
	}
	return h.show(w, http.StatusOK, "usage", v)
}

// usageQuery reads what is asked for. What somebody may not see is not even asked for.
func (h *Web) usageQuery(r *http.Request, p hub.Principal, v *usageView) (q hub.UsageQuery, err error) {
	args, now := r.URL.Query(), time.Now().UTC()
	q.From, q.To, q.Now = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), now, now
	if t, err := time.Parse(time.DateOnly, args.Get("from")); err == nil {
		q.From = t
	}
	v.To = now.Format(time.DateOnly)
	if t, err := time.Parse(time.DateOnly, args.Get("to")); err == nil {
		q.To, v.To = t.AddDate(0, 0, 1), t.Format(time.DateOnly)
	}
	v.From, v.By = q.From.Format(time.DateOnly), args.Get("by")
	bys := []option{{Value: "profile", Label: "profile"}, {Value: "run", Label: "single run"}}
	if v.All {
		bys = append([]option{{Value: "user", Label: "user"}, {Value: "group", Label: "group"}}, bys...)
	}
	v.Bys, v.By = choose(bys, v.By)
	v.Group, v.Profile = args.Get("group"), args.Get("profile")
	if v.Group != "" {
		q.Groups = []string{v.Group}
	}
	if v.Profile != "" {
		q.Profiles = []string{v.Profile}
	}
	q.By, q.Limit = hub.UsageBy(v.By), maxUsageRows+1
	if !v.All {
		q.UserIDs = []string{p.User.ID}
		return q, nil
	}
	if v.Who = strings.TrimSpace(args.Get("user")); v.Who != "" {
		u, err := h.hub.UserByName(r.Context(), v.Who)
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return q, err
		}
		q.UserIDs = []string{u.ID} // nobody's, if there is no such user
	}
	return q, nil
}

// choose marks the one that was asked for, or the first.
func choose(options []option, asked string) ([]option, string) {
	chosen := 0
	for i, o := range options {
		if o.Value == asked {
			chosen = i
		}
	}
	options[chosen].Chosen = true
	return options, options[chosen].Value
}

// csvURL is the same question to the API, with the page token, because a browser asks it.
func (v usageView) csvURL(root string) string {
	last, _ := time.Parse(time.DateOnly, v.To) // it was written by us
	q := url.Values{"from": {v.From}, "to": {last.AddDate(0, 0, 1).Format(time.DateOnly)}, "by": {v.By}, "_xsrf": {v.XSRF}}
	for name, value := range map[string]string{"user": v.Who, "group": v.Group, "profile": v.Profile} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return root + "api/usage.csv?" + q.Encode()
}

func (h *Web) fillUsage(r *http.Request, q hub.UsageQuery, v *usageView) error {
	if v.By == "run" {
		q.By = hub.UsageInAll
		runs, err := h.hub.UsageRuns(r.Context(), q)
		if err != nil {
			return err
		}
		v.Cut = len(runs) > maxUsageRows
		for _, run := range runs[:min(len(runs), maxUsageRows)] {
			v.Runs = append(v.Runs, viewRun(run, q.Now))
		}
		return nil
	}
	sums, err := h.hub.SumUsage(r.Context(), q)
	if err != nil {
		return err
	}
	v.Cut = len(sums) > maxUsageRows
	v.ByHeader = strings.ToUpper(v.By[:1]) + v.By[1:]
	for _, s := range sums[:min(len(sums), maxUsageRows)] {
		v.Sums = append(v.Sums, usageSumView{
			Name: cmp.Or(s.Key, "none"), Runs: s.Runs, Hours: decimal(s.Hours), Memory: decimal(s.MemoryHours), CPU: decimal(s.CPUHours),
			Devices: decimal(s.DeviceHours),
		})
	}
	return nil
}

func viewRun(r hub.UsageRun, now time.Time) usageRunView {
	held := []string{}
	if r.MemoryMB > 0 {
		held = append(held, decimal(float64(r.MemoryMB)/1024)+" GiB")
	}
	if r.Cores > 0 {
		held = append(held, decimal(r.Cores)+" cores")
	}
	if r.Devices > 0 {
		held = append(held, plural(time.Duration(r.Devices), 1, "device"))
	}
	v := usageRunView{
		User: r.UserName, Server: cmp.Or(r.ServerName, "default server"), Profile: r.Profile, Began: when(r.Began, now), Ended: when(r.Ended, now),
		Held: strings.Join(held, ", "), Reason: r.Reason,
	}
	if r.Ended.IsZero() {
		v.Ended = moment{Ago: "running"}
	}
	return v
}

func viewBudget(s budget.State, now time.Time) budgetView {
	v := budgetView{Title: "Limit of this " + string(s.Limit.Period), State: [...]string{"below", "soft", "hard"}[s.Level], Next: when(s.Next, now)}
	if s.Group != "" {
		v.Title += " for the group " + s.Group
	}
	line := func(what string, used, soft, hard float64) {
		if most := cmp.Or(hard, soft); most > 0 {
			v.Lines = append(v.Lines, budgetLine{what, decimal(used), decimal(most), int(min(100, 100*used/most))})
		}
	}
	line("GiB-hours of memory", s.Used.MemoryHours, s.Limit.Soft.MemoryHours, s.Limit.Hard.MemoryHours)
	line("core-hours", s.Used.CPUHours, s.Limit.Soft.CPUHours, s.Limit.Hard.CPUHours)
	line("device-hours", s.Used.DeviceHours, s.Limit.Soft.DeviceHours, s.Limit.Hard.DeviceHours)
	return v
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
