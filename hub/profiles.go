package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// Profiles are the kinds of servers that users may choose from: a *profile.Set. All methods are pure and safe for concurrent use.
type Profiles interface {
	// Forms is what the user may choose, in the operator's order; none: nothing.
	Forms(u profile.User, s profile.Server) []profile.Form
	// Resolve is what the user_options come to; nil is the default. A *profile.InvalidError says what is wrong with them.
	Resolve(u profile.User, s profile.Server, options json.RawMessage) (profile.Resolved, error)
	// Larger are the user_options for the next larger profile that the user may have, in place of these.
	Larger(u profile.User, s profile.Server, options json.RawMessage) (json.RawMessage, bool)
}

// SetProfiles puts other profiles in force, for starts from now on; nil: servers are started as [Notebook] says, whatever their options.
func (h *Hub) SetProfiles(p Profiles) {
	h.profiles.Store(&p)
	h.log.Info("profiles in force", "any", p != nil)
}

func (h *Hub) profilesNow() Profiles {
	if p := h.profiles.Load(); p != nil {
		return *p
	}
	return nil
}

// Forms is what the user may choose for the server, which need not exist yet; nil: there are no profiles, and nothing to choose.
func (h *Hub) Forms(ctx context.Context, userName, serverName string) ([]profile.Form, error) {
	profiles := h.profilesNow()
	if profiles == nil {
		return nil, nil
	}
	u, s, err := h.userAndServer(ctx, userName, serverName)
	if err != nil {
		return nil, err
	}
	return profiles.Forms(profileUser(u), profileServer(s)), nil
}

// userAndServer reads both. A server that there is no record of has no ID.
func (h *Hub) userAndServer(ctx context.Context, userName, serverName string) (User, Server, error) {
	u, err := h.UserByName(ctx, userName)
	if err != nil {
		return User{}, Server{}, err
	}
	s, err := h.ServerOf(ctx, u, serverName)
	return u, s, err
}

// ServerOf returns one server of a user, one without an ID if there never was one of that name.
func (h *Hub) ServerOf(ctx context.Context, u User, name string) (Server, error) {
	s, err := h.store.ServerByName(ctx, u.ID, name)
	if errors.Is(err, ErrNotFound) {
		return Server{UserID: u.ID, UserName: u.Name, Name: name, State: Stopped}, nil
	}
	return s, err
}

func profileUser(u User) profile.User {
	return profile.User{ID: u.ID, Name: u.Name, Admin: u.Admin, Groups: u.Groups}
}

func profileServer(s Server) profile.Server { return profile.Server{ID: s.ID, Name: s.Name} }

// choice is what one start runs, with what the hub itself adds.
type choice struct {
	profile.Resolved
	options json.RawMessage // to be kept
	user    User
}

// choose finds out what a start with these options runs; nil: those of the last start. An error is an Invalid [Error] that names the option.
func (h *Hub) choose(u User, s Server, options json.RawMessage) (choice, error) {
	if options == nil {
		options = s.Options
	}
	c := choice{options: options, user: u}
	if profiles := h.profilesNow(); profiles != nil {
		var err error
		if c.Resolved, err = profiles.Resolve(profileUser(u), profileServer(s), options); err != nil {
			return choice{}, choiceError(err)
		}
		c.options = c.Options
	}
	c.Resources = h.withDefaults(c.Resources)
	c.StartTimeout = cmp.Or(c.StartTimeout, h.opts.Notebook.PlaceTimeout)
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, h.opts.Notebook.AnswerTimeout)
	c.QueueTimeout = cmp.Or(c.QueueTimeout, h.opts.Notebook.QueueTimeout)
	c.DefaultURL = cmp.Or(c.DefaultURL, h.opts.Notebook.DefaultURL)
	return c, nil
}

// choiceOf is what the present start of a server runs, as the profiles say now. The worker keeps it, so that a start goes by one set of profiles.
func (h *Hub) choiceOf(ctx context.Context, w *worker, s Server) (choice, error) {
	if w.run.choice != nil {
		return *w.run.choice, nil
	}
	u, err := h.store.UserByID(ctx, s.UserID)
	if err != nil {
		return choice{}, err
	}
	c, err := h.choose(u, s, nil)
	if err == nil {
		w.run.choice = &c
	}
	return c, err
}

func choiceError(err error) error {
	if bad, ok := errors.AsType[*profile.InvalidError](err); ok {
		return &Error{Kind: Invalid, Message: bad.Error(), Err: err}
	}
	if broken, ok := errors.AsType[*profile.BrokenError](err); ok { // the operator's mistake; until it is mended nobody can start this
		return &Error{Kind: Unavailable, Message: broken.Reason(), Err: err}
	}
	return fmt.Errorf("resolve the server's options: %w", err)
}

// withDefaults takes the hub's resources where the profile says nothing. Processor and memory are each taken as a whole, since their parts exclude or bound
// one another.
func (h *Hub) withDefaults(r scheduler.Resources) scheduler.Resources {
	d := h.opts.Notebook.Resources
	if r.CPU == 0 && r.Cores == 0 && r.CPUGuarantee == 0 {
		r.CPU = d.CPU
	}
	if r.MemoryMB == 0 && r.MemoryMaxMB == 0 {
		r.MemoryMB, r.MemoryMaxMB = d.MemoryMB, d.MemoryMaxMB
	}
	return r
}

// held is what a run of the choice holds, for lists and the ledger.
func (c choice) held() *Held {
	r := c.Resources
	h := &Held{
		CPU: r.CPU, Cores: float64(r.Cores), MemoryMB: r.MemoryMB, DiskMB: r.DiskMB,
		Pool: c.Workload.Placement.NodePool, Image: c.Workload.Image,
	}
	if r.Cores == 0 {
		h.Cores = r.CPUGuarantee
	}
	for _, d := range r.Devices {
		if h.Devices == nil {
			h.Devices = map[string]int{}
		}
		h.Devices[d.Name] += d.Count
	}
	return h
}

// environment is what the choice adds to a server's environment, in JupyterHub's words. Source: JupyterHub's Spawner.get_env.
func (c choice) environment() map[string]string {
	env := map[string]string{}
	set := func(name, value string, given bool) {
		if given {
			env[name] = value
		}
	}
	const mebi = 1 << 20
	r := c.Resources
	limit := cmp.Or(r.MemoryMaxMB, r.MemoryMB)
	guarantee := cmp.Or(float64(r.Cores), r.CPUGuarantee)
	cpuLimit := cmp.Or(r.CPULimit, float64(r.Cores))
	set("MEM_LIMIT", strconv.FormatInt(limit*mebi, 10), limit > 0)
	set("MEM_GUARANTEE", strconv.FormatInt(r.MemoryMB*mebi, 10), r.MemoryMB > 0)
	set("CPU_LIMIT", strconv.FormatFloat(cpuLimit, 'f', -1, 64), cpuLimit > 0)
	set("CPU_GUARANTEE", strconv.FormatFloat(guarantee, 'f', -1, 64), guarantee > 0)
	set("JUPYTERHUB_DEFAULT_URL", c.DefaultURL, c.DefaultURL != "")
	set("JUPYTERHUB_ROOT_DIR", c.NotebookDir, c.NotebookDir != "")
	maps.Copy(env, c.Env)
	return env
}

// workload is what the scheduler runs, with the volumes in place.
func (c choice) workload(mounts []scheduler.Mount) scheduler.Workload {
	w := c.Workload
	w.Mounts = append(slices.Clip(w.Mounts), mounts...)
	return w
}
