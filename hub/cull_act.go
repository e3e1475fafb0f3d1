package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/hub/cull"
)

// settle carries out what was decided. Whoever wrote the row meanwhile is right, and the next pass decides anew.
func (h *Hub) settle(ctx context.Context, s suspect, v cull.Verdict, rules cull.Rules) {
	var err error
	switch v.Action {
	case cull.Keep:
		err = h.takeBack(ctx, s.server)
	case cull.Warn:
		err = h.warn(ctx, s.server, Notice{
			Kind: NoticeKind(v.Kind), Message: warning(v, rules), Time: h.now(), Until: v.Until, Evidence: v.Evidence,
		})
	case cull.Stop:
		why := Failure{Message: v.Reason + restartHint(v.Kind), Time: h.now(), Evidence: v.Evidence}
		err = h.stopFor(ctx, s.server, NoticeKind(v.Kind), why, func(now Server) bool {
			fresh := s.with(now)
			return cull.Decide(rules, fresh.subject, fresh.evidence, h.now()).Action == cull.Stop
		})
	case cull.Hold, cull.Ask:
	}
	if err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
		h.log.WarnContext(ctx, "decision about a server not carried out, will be taken anew", "server_id", s.server.ID, "err", err)
	}
}

func warning(v cull.Verdict, rules cull.Rules) string {
	if v.Kind == cull.Age {
		return "Your server will be stopped soon, because it has been running for as long as a server may. Save your work; you can start it again afterwards."
	}
	if rules.KeepFor > 0 {
		return "Your server will be stopped soon, because nothing shows that it is used. If you need it, say that it shall keep running, or just use it."
	}
	return "Your server will be stopped soon, because nothing shows that it is used. If you need it, just use it."
}

func restartHint(kind cull.Kind) string {
	if kind == cull.Age {
		return " You can start it again; your files are kept."
	}
	return " Your files are kept; start it again when you need it."
}

// mayReplace tells whether a notice may take the place of another. What an operator does to the machine goes first, and of two stops that are announced
// the one that was announced first.
func mayReplace(old *Notice, kind NoticeKind) bool {
	switch {
	case old == nil || old.Kind == kind:
		return true
	case old.Kind == NoticeDrain || old.Kind == NoticeLost:
		return false
	}
	return old.Until.IsZero() && kind != NoticeUsage // a hint that usage is high
}

// warn writes a notice for the owner. ErrStale if the row was written since it was read.
func (h *Hub) warn(ctx context.Context, s Server, n Notice) error {
	if !mayReplace(s.Notice, n.Kind) {
		return nil
	}
	s.Notice = &n
	if _, err := h.store.UpdateServer(ctx, s); err != nil {
		return err
	}
	h.culls.warned(string(n.Kind))
	h.log.InfoContext(ctx, "owner of a server warned", "user", s.UserName, "server", s.Name, "server_id", s.ID,
		"kind", string(n.Kind), "until", n.Until, "evidence", n.Evidence)
	h.journals.touch(s.ID)
	return nil
}

// takeBack removes a warning that does not hold any more.
func (h *Hub) takeBack(ctx context.Context, s Server) error {
	if s.Notice == nil || s.Notice.Kind != NoticeIdle && s.Notice.Kind != NoticeAge {
		return nil
	}
	s.Notice = nil
	if _, err := h.store.UpdateServer(ctx, s); err != nil {
		return err
	}
	h.journals.touch(s.ID)
	return nil
}

// stopFor writes the wish that a server be gone, and why. It looks at the row once more in the same transaction: ErrStale if anybody wrote it since the decision
// was made, or if by what it says now (still) the decision would be another. Who dies right after it leaves a wish that any replica carries out.
func (h *Hub) stopFor(ctx context.Context, s Server, kind NoticeKind, why Failure, still func(Server) bool) error {
	if s.Notice != nil && (s.Notice.Kind == NoticeDrain || s.Notice.Kind == NoticeLost) {
		return nil
	}
	h.writeActivity(ctx)
	failpoint("cull.before-row")
	var next Server
	err := h.store.InTx(ctx, func(tx Store) error {
		now, err := tx.ServerByID(ctx, s.ID)
		if err != nil {
			return err
		}
		if now.Revision != s.Revision || now.State != Ready || !still(now) {
			return ErrStale
		}
		now.State, now.Notice, now.Failure = Stopping, nil, &why
		next, err = tx.UpdateServer(ctx, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("stop server %s: %w", s.ID, err)
	}
	failpoint("cull.after-row")
	h.culls.culled(string(kind))
	h.auditStop(s, kind, why)
	h.log.InfoContext(ctx, "server culled", "user", s.UserName, "server", s.Name, "server_id", s.ID, "generation", s.Generation,
		"kind", string(kind), "reason", why.Message, "evidence", why.Evidence)
	h.journals.wrote(next, 0, messageStopping)
	h.control.hand(next, nil)
	return nil
}

// KeepServer holds off a stop for idleness, for as long as the rules say, and returns the server. A Conflict if it does not run, or if the rules let nobody hold
// it off.
func (h *Hub) KeepServer(ctx context.Context, userName, serverName string) (Server, error) {
	s, err := h.Server(ctx, userName, serverName)
	if err != nil {
		return s, err
	}
	var keep time.Duration
	if rules := h.culling.Load(); rules != nil {
		keep = rules.KeepFor
	}
	if keep <= 0 {
		return s, Errorf(Conflict, "Servers are not stopped for idleness here, or not in a way that can be held off.")
	}
	for {
		if s.State != Ready {
			return s, Errorf(Conflict, "The server is not running.")
		}
		s.KeepUntil = h.now().Add(keep)
		if s.Notice != nil && s.Notice.Kind == NoticeIdle {
			s.Notice = nil
		}
		next, err := h.store.UpdateServer(ctx, s)
		if !errors.Is(err, ErrStale) {
			if err == nil {
				h.activity.saw(s.ID, seen{at: h.now(), used: h.now()})
				h.log.InfoContext(ctx, "owner keeps a server running", "user", s.UserName, "server", s.Name, "server_id", s.ID, "until", next.KeepUntil)
				h.journals.touch(s.ID)
			}
			return next, err
		}
		if s, err = h.store.ServerByID(ctx, s.ID); err != nil {
			return s, fmt.Errorf("keep server: %w", err)
		}
	}
}
