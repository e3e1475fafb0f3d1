package hub

import (
	"context"
	"errors"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// Explain tells whether somebody may do something, and why. It fails with a NotFound [Error] for a scope that does not exist. t is the token that they show; nil: none
// that is stored.
func (h *Hub) Explain(ctx context.Context, q scope.Question, t *Token) (scope.Answer, error) {
	if t != nil {
		q.Token = append([]string{}, t.Scopes...)
		if t.ClientID != "" {
			var o scope.Owner
			if err := h.addClient(ctx, t.ClientID, &o); err != nil {
				return scope.Answer{}, err
			}
			q.ClientServer, q.ClientService = o.ClientServer, o.ClientService
		}
	}
	return Explain(ctx, h.store, h.Roles(), q)
}

// Explain is [Hub.Explain] for who has the database and no hub.
func Explain(ctx context.Context, users UserStore, roles *scope.Policy, q scope.Question) (scope.Answer, error) {
	of, failed := memberships(ctx, users, User{Name: q.User.Name, Groups: q.User.Groups})
	if owner := q.On.Owner(); owner != "" {
		q.On = q.On.In(of(owner))
	}
	q.Groups = of
	a, err := roles.Explain(q)
	if down := failed(); down != nil { // then nothing is known
		return scope.Answer{}, down
	}
	if errors.Is(err, scope.ErrInvalid) {
		err = &Error{Kind: NotFound, Message: "There is nothing to explain: " + err.Error() + ".", Err: err}
	}
	return a, err
}
