package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// NewToken is what a token shall be.
type NewToken struct {
	Note      string
	Scopes    []string      // nil: those of the role "token", which is all that the owner may do unless configured otherwise
	ExpiresIn time.Duration // 0: never
}

const (
	maxNote   = 1000 // bytes
	maxScopes = 1000
)

// IssueToken makes a token for its owner and returns its secret, which is shown this once. Invalid if a scope is unknown, or more than the owner has, or if the token
// would live longer than the limits allow. One that would live for ever lives as long as they do.
func (h *Hub) IssueToken(ctx context.Context, owner User, n NewToken) (secret string, t Token, err error) {
	if n.ExpiresIn, err = h.tokenLife(n.ExpiresIn); err != nil {
		return "", Token{}, err
	}
	return issueToken(ctx, h.store, h.Roles(), owner, n, h.now())
}

// tokenLife is how long a token lives of which this was asked; 0 is for ever.
func (h *Hub) tokenLife(asked time.Duration) (time.Duration, error) {
	most := h.Limits().TokenLifetime
	switch {
	case most <= 0:
		return asked, nil
	case asked == 0:
		return most, nil
	case asked > most:
		return 0, Errorf(Invalid, "Tokens live for %d seconds at most at this hub. Ask for no more, or leave it out.", int64(most.Seconds()))
	}
	return asked, nil
}

// IssueToken is [Hub.IssueToken] for who has the database and no hub.
func IssueToken(ctx context.Context, s Store, roles *scope.Policy, owner User, n NewToken) (secret string, t Token, err error) {
	return issueToken(ctx, s, roles, owner, n, time.Now())
}

func issueToken(ctx context.Context, s Store, roles *scope.Policy, owner User, n NewToken, now time.Time) (secret string, t Token, err error) {
	if len(n.Note) > maxNote {
		return "", Token{}, Errorf(Invalid, "The note is longer than %d bytes.", maxNote)
	}
	if n.ExpiresIn < 0 {
		return "", Token{}, Errorf(Invalid, "A token cannot expire in the past.")
	}
	if len(n.Scopes) > maxScopes {
		return "", Token{}, Errorf(Invalid, "The token would have more than %d scopes.", maxScopes)
	}
	if n.Scopes == nil {
		usual, _ := roles.Role(scope.RoleToken)
		n.Scopes = usual.Scopes
	}
	of, failed := memberships(ctx, s, owner)
	err = checkTokenScopes(roles, owner, n.Scopes, of)
	if down := failed(); down != nil { // then nothing is known of the scopes
		err = down
	}
	if err != nil {
		return "", Token{}, err
	}
	secret = newSecret()
	t = Token{UserID: owner.ID, Hash: hashSecret(secret), Scopes: distinct(n.Scopes), Note: n.Note, Created: now}
	if n.ExpiresIn > 0 {
		t.Expires = t.Created.Add(n.ExpiresIn)
	}
	t, err = s.CreateToken(ctx, t)
	if err != nil {
		return "", Token{}, fmt.Errorf("issue a token for %s: %w", owner.ID, err)
	}
	return secret, t, nil
}

// distinct keeps the first of each.
func distinct(scopes []string) []string {
	kept := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// checkTokenScopes refuses scopes that the owner does not hold: a token never gives more than its owner has.
func checkTokenScopes(roles *scope.Policy, owner User, raw []string, of scope.GroupsOf) error {
	return checkScopes(roles, raw, scope.Owner{User: owner.Name}, roles.OfUser(HolderOf(owner)), of)
}

// checkScopes refuses raw scopes for a token whose owner does not hold them.
func checkScopes(roles *scope.Policy, raw []string, o scope.Owner, held scope.Set, of scope.GroupsOf) error {
	if err := roles.Validate(raw); err != nil {
		return &Error{Kind: Invalid, Message: "Some of the scopes are not known: " + err.Error() + ".", Err: err}
	}
	if slices.Contains(raw, scope.Inherit) {
		return nil
	}
	if excess := scope.Excess(roles.Expand(raw, o), held, of); len(excess) > 0 {
		return Errorf(Invalid, "%s does not have the scopes %v, so no token of theirs can have them.", cmp.Or(o.User, o.Service), excess)
	}
	return nil
}

// issueServerToken makes the token that a server speaks with, and its OAuth client, whose secret is the token. It fails with ErrStale if the row was written since
// it was read: the server may have been stopped, and then it shall have neither.
func (h *Hub) issueServerToken(ctx context.Context, s Server) (string, error) {
	secret := newSecret()
	path := h.urls.Server(s.UserName, s.Name)
	err := h.store.InTx(ctx, func(tx Store) error {
		if err := checkRevision(ctx, tx, s); err != nil {
			return err
		}
		_, err := tx.CreateToken(ctx, Token{
			UserID: s.UserID, Hash: hashSecret(secret), ServerID: s.ID, Scopes: h.Roles().ServerToken(s.UserName, s.Name),
			Note: "Server at " + path, Created: h.now(),
		})
		if err != nil {
			return err
		}
		return tx.PutClient(ctx, OAuthClient{
			ID: ClientID(s.UserName, s.Name), RedirectURI: h.urls.ServerURL(s.UserName, s.Name) + "oauth_callback", ServerID: s.ID,
			Description: "Server at " + path, AllowedScopes: []string{},
		})
	})
	if err != nil {
		return "", fmt.Errorf("issue the token of server %s: %w", s.ID, err)
	}
	return secret, nil
}

// Tokens lists a user's tokens that have not expired.
func (h *Hub) Tokens(ctx context.Context, userID string) ([]Token, error) {
	all, err := h.store.Tokens(ctx, userID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, h.expired), nil
}

func (h *Hub) expired(t Token) bool { return !t.Expires.IsZero() && !t.Expires.After(h.now()) }

// Token returns one of the user's tokens, or a NotFound [Error].
func (h *Hub) Token(ctx context.Context, userID string, id int64) (Token, error) {
	t, err := h.store.TokenByID(ctx, userID, id)
	if errors.Is(err, ErrNotFound) || err == nil && h.expired(t) {
		return Token{}, Errorf(NotFound, "There is no such token.")
	}
	return t, err
}

// RevokeToken deletes one of the user's tokens. Of a token that was issued to an OAuth client, all that the client has for this user go, as in JupyterHub.
func (h *Hub) RevokeToken(ctx context.Context, userID string, id int64) error {
	t, err := h.Token(ctx, userID, id)
	if err != nil {
		return err
	}
	if t.ClientID != "" {
		return h.store.DeleteTokensOfClient(ctx, t.ClientID, userID)
	}
	return h.store.DeleteToken(ctx, t.ID)
}
