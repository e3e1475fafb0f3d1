package hub

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub/budget"
)

// SetUsage puts rules about usage in force, for the next look at it.
func (h *Hub) SetUsage(rules budget.Rules) {
	rules = withUsageDefaults(rules)
	h.budgets.Store(&rules)
}

func (h *Hub) usageRules() budget.Rules { return *h.budgets.Load() }

func withUsageDefaults(r budget.Rules) budget.Rules {
	r.Interval = cmp.Or(r.Interval, time.Minute)
	r.Retention = cmp.Or(r.Retention, 400*24*time.Hour)
	r.Grace = cmp.Or(r.Grace, 15*time.Minute)
	r.CoreMHz = cmp.Or(r.CoreMHz, 2000)
	return r
}

// Budgets tell where the limits stand that hold for a user: their own, and those of their groups.
func (h *Hub) Budgets(ctx context.Context, u User) ([]budget.State, error) {
	rules := h.usageRules()
	t := tally{h: h, rules: rules, now: h.now(), users: []string{u.ID}}
	var states []budget.State
	for _, l := range rules.Limits {
		if rules.ExemptAdmins && u.Admin {
			break
		}
		of, err := t.of(ctx, l, u)
		if err != nil {
			return nil, err
		}
		states = append(states, of...)
	}
	return states, nil
}

// checkBudget refuses a start over a hard limit.
func (h *Hub) checkBudget(ctx context.Context, u User) error {
	if len(h.usageRules().Limits) == 0 {
		return nil
	}
	states, err := h.Budgets(ctx, u)
	if err != nil {
		return err
	}
	if worst, _ := budget.Worst(states); worst.Level == budget.Hard {
		return Errorf(Forbidden, "%s No server can be started before there is more. %s", worst.Sentence(), worst.Renewal())
	}
	return nil
}

// tally adds up usage against limits, each sum once.
type tally struct {
	h      *Hub
	rules  budget.Rules
	now    time.Time
	users  []string // of these users
	byUser map[budget.Period]map[string]budget.Amount
	byName map[budget.Period]map[string]budget.Amount // of groups
}

// of tells where a limit stands for a user.
func (t *tally) of(ctx context.Context, l budget.Limit, u User) ([]budget.State, error) {
	var states []budget.State
	if l.AppliesTo(u.Name, u.Groups) {
		used, err := t.sums(ctx, &t.byUser, l.Period, UsageByUser)
		if err != nil {
			return nil, err
		}
		states = append(states, l.Check("", used[u.ID], t.now, t.rules.Zone))
	}
	for _, g := range l.GroupsOf(u.Groups) {
		used, err := t.sums(ctx, &t.byName, l.Period, UsageByGroup)
		if err != nil {
			return nil, err
		}
		states = append(states, l.Check(g, used[g], t.now, t.rules.Zone))
	}
	return states, nil
}

func (t *tally) sums(ctx context.Context, kept *map[budget.Period]map[string]budget.Amount, p budget.Period, by UsageBy) (map[string]budget.Amount, error) {
	if sums, ok := (*kept)[p]; ok {
		return sums, nil
	}
	q := UsageQuery{Now: t.now, By: by}
	q.From, q.To = p.Bounds(t.now, t.rules.Zone)
	if by == UsageByUser {
		q.UserIDs = t.users
	} else {
		q.Groups = limitedGroups(t.rules.Limits, p)
	}
	found, err := t.h.store.SumUsage(ctx, q)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]budget.Amount, len(found))
	for _, s := range found {
		sums[cmp.Or(s.ID, s.Key)] = s.Amount
	}
	if *kept == nil {
		*kept = map[budget.Period]map[string]budget.Amount{}
	}
	(*kept)[p] = sums
	return sums, nil
}

// limitedGroups are the groups whose common use is limited in such periods.
func limitedGroups(limits []budget.Limit, p budget.Period) []string {
	groups := []string{}
	for _, l := range limits {
		if l.PerGroup && l.Period == p {
			groups = append(groups, l.Groups...)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// enforceLimits tells owners of running servers that a limit is near, and stops servers some time after it is reached.
func (h *Hub) enforceLimits(ctx context.Context, rules budget.Rules) error {
	now := h.now()
	ready, err := h.store.CullCandidates(ctx, CullQuery{UsedBefore: now.Add(24 * time.Hour), Now: now})
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, c := range ready {
		ids[c.UserID] = true
	}
	t := tally{h: h, rules: rules, now: now, users: slices.Collect(maps.Keys(ids))}
	for _, c := range ready {
		var states []budget.State
		for _, l := range rules.Limits {
			if rules.ExemptAdmins && c.Admin {
				break
			}
			of, err := t.of(ctx, l, User{ID: c.UserID, Name: c.UserName, Admin: c.Admin, Groups: c.Groups})
			if err != nil {
				return err
			}
			states = append(states, of...)
		}
		err := h.enforce(ctx, c.Server, states, rules, now)
		if err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
			h.log.WarnContext(ctx, "limit of usage not enforced, will be", "server_id", c.ID, "err", err)
		}
	}
	return ctx.Err()
}

// enforce does for one server what its limits ask for.
func (h *Hub) enforce(ctx context.Context, s Server, states []budget.State, rules budget.Rules, now time.Time) error {
	worst, _ := budget.Worst(states)
	old := s.Notice
	mine := old != nil && old.Kind == NoticeUsage
	switch worst.Level {
	case budget.Below:
		if !mine {
			return nil
		}
		s.Notice = nil
		_, err := h.store.UpdateServer(ctx, s)
		return err
	case budget.Soft:
		n := Notice{Kind: NoticeUsage, Message: worst.Sentence() + " " + worst.Renewal(), Time: now}
		if mine && old.Until.IsZero() && sameLimit(*old, worst) {
			return nil // said already; the numbers are on the page of usage
		}
		n.Evidence = []string{limitName(worst)}
		return h.warn(ctx, s, n)
	case budget.Hard:
	}
	if mine && !old.Until.IsZero() {
		if now.Before(old.Until) {
			return nil
		}
		return h.stopFor(ctx, s, NoticeUsage, Failure{
			Message: worst.Sentence() + " The server was stopped; your files are kept. " + worst.Renewal(), Time: now,
			Evidence: append(evidence(worst), "A warning was shown from "+old.Time.UTC().Format(time.RFC1123)+" on."),
		}, func(Server) bool { return true })
	}
	return h.warn(ctx, s, Notice{
		Kind: NoticeUsage, Time: now, Until: now.Add(rules.Grace), Evidence: evidence(worst),
		Message: worst.Sentence() + " Your server will be stopped; save your work. " + worst.Renewal(),
	})
}

func limitName(s budget.State) string { return "The limit is called " + s.Limit.Name + "." }

func sameLimit(n Notice, s budget.State) bool { return slices.Contains(n.Evidence, limitName(s)) }

func evidence(s budget.State) []string {
	return []string{
		strings.TrimSpace(s.Sentence()), limitName(s),
		"It counts from " + s.From.Format(time.RFC1123) + " on, by the ledger of usage.",
	}
}
