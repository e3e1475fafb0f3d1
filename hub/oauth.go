package hub

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// codeLifetime is shorter than JupyterHub's five minutes: a code is on its way through the browser, and is exchanged at once or never.
const codeLifetime = time.Minute

// ErrCodeReplayed is what an error of [Hub.Exchange] also is when a code was shown again and the token that it had given was revoked.
var ErrCodeReplayed = errors.New("an authorization code was shown again")

// OAuthError is an error in RFC 6749's terms.
type OAuthError struct {
	Code        string // "invalid_grant" and the like
	Description string // a sentence
}

func (e *OAuthError) Error() string { return e.Code + ": " + e.Description }

// AuthorizeRequest is what a server or service asks when it sends a browser to find out who its visitor is.
type AuthorizeRequest struct {
	ClientID      string
	ResponseType  string
	RedirectURI   string // "": the registered one
	State         string
	Scopes        []string // nil: what the client is allowed
	Challenge     string
	ChallengeType string
}

// OAuthClient finds the client of an authorize request. What is wrong with client or redirect URI is an Invalid [Error] that must be shown here, never sent to
// the redirect URI.
func (h *Hub) OAuthClient(ctx context.Context, r AuthorizeRequest) (OAuthClient, error) {
	c, err := h.store.Client(ctx, r.ClientID)
	if errors.Is(err, ErrNotFound) {
		return OAuthClient{}, Errorf(Invalid, "Who sent you here is not known, or has stopped. If it was a server of yours, start it from your home page.")
	}
	if err != nil {
		return OAuthClient{}, err
	}
	if r.RedirectURI != "" && r.RedirectURI != c.RedirectURI {
		return OAuthClient{}, Errorf(Invalid, "Who sent you here wants you back at an address which is not its own.")
	}
	return c, nil
}

func checkChallenge(r AuthorizeRequest) error {
	switch {
	case r.Challenge == "" && r.ChallengeType == "":
		return nil
	case r.Challenge == "" || len(r.Challenge) > 128:
		return &OAuthError{"invalid_request", "The code challenge is missing or too long."}
	case r.ChallengeType != "S256": // also when it is missing, which means plain: such a challenge is the verifier itself, for whoever sees the address
		return &OAuthError{"invalid_request", "The code challenge method must be S256."}
	}
	return nil
}

// IssueCode gives the client a code for what the visitor granted.
func (h *Hub) IssueCode(ctx context.Context, p Principal, c OAuthClient, g Grant, r AuthorizeRequest) (string, error) {
	code := newSecret()
	err := h.store.CreateCode(ctx, OAuthCode{
		Hash: hashSecret(code), ClientID: c.ID, UserID: p.User.ID, BrowserID: p.BrowserID(), RedirectURI: c.RedirectURI,
		Scopes: g.Scopes, Challenge: r.Challenge, ChallengeType: r.ChallengeType, Expires: h.now().Add(codeLifetime),
	})
	if err != nil {
		return "", fmt.Errorf("issue a code to %s: %w", c.ID, err)
	}
	return code, nil
}

// ExchangeRequest is a client's wish to have a token for a code.
type ExchangeRequest struct {
	ClientID, ClientSecret string
	GrantType, Code        string
	RedirectURI, Verifier  string
}

// ExchangeReply is the token that a client gets.
type ExchangeReply struct {
	AccessToken string
	ExpiresIn   time.Duration
	Scopes      []string
}

// Exchange turns a code into a token, once. Failures are *OAuthError.
func (h *Hub) Exchange(ctx context.Context, r ExchangeRequest) (ExchangeReply, error) {
	switch r.GrantType {
	case "authorization_code":
	case "refresh_token":
		return ExchangeReply{}, &OAuthError{"unauthorized_client", "No refresh tokens are issued here."}
	default:
		return ExchangeReply{}, &OAuthError{"unsupported_grant_type", "Only the authorization code flow is offered."}
	}
	c, err := h.authenticateClient(ctx, r.ClientID, r.ClientSecret)
	if err != nil {
		return ExchangeReply{}, err
	}
	code, err := h.checkCode(ctx, c, r)
	if err != nil {
		return ExchangeReply{}, err
	}
	secret := newSecret()
	now, lifetime := h.now(), h.opts.SessionLifetime // a token lasts as long as a login, as in JupyterHub
	err = h.store.InTx(ctx, func(tx Store) error {
		mine, err := tx.TakeCode(ctx, code.Hash)
		if err != nil {
			return err
		}
		if !mine {
			return errCodeTaken
		}
		if live, err := h.loggedIn(ctx, tx, code); err != nil || !live {
			if err == nil {
				err = &OAuthError{"invalid_grant", "The visitor has logged out since."}
			}
			return err
		}
		_, err = tx.CreateToken(ctx, Token{
			UserID: code.UserID, Hash: hashSecret(secret), ClientID: c.ID, CodeHash: code.Hash, BrowserID: code.BrowserID,
			Scopes: code.Scopes, Created: now, Expires: now.Add(lifetime),
		})
		return err
	})
	if errors.Is(err, errCodeTaken) {
		err = h.refuseUsed(ctx, c, code.Hash)
	}
	if err != nil {
		return ExchangeReply{}, err
	}
	return ExchangeReply{AccessToken: secret, ExpiresIn: lifetime, Scopes: code.Scopes}, nil
}

// errCodeTaken ends a transaction that found the code taken since it was read.
var errCodeTaken = errors.New("the code was taken meanwhile")

// refuseUsed refuses a code that is not there. Where it was exchanged before, two have had it, and nobody knows which of them is honest: the token that it gave is
// revoked (RFC 6749, section 4.1.2). Who asks again because the answer was lost loses a token that they never got, and sends their visitor here for another code.
func (h *Hub) refuseUsed(ctx context.Context, c OAuthClient, code []byte) error {
	revoked, err := h.store.DeleteTokenOfCode(ctx, c.ID, code)
	if err != nil {
		return fmt.Errorf("revoke what a code gave to %s: %w", c.ID, err)
	}
	if !revoked {
		return &OAuthError{"invalid_grant", "The code is not known, was used already, or has expired."}
	}
	h.log.WarnContext(ctx, "authorization code shown again, its token is revoked", "client", c.ID)
	return errors.Join(ErrCodeReplayed, &OAuthError{
		"invalid_grant", "The code was used already. The token that it gave was revoked, as somebody else may have it. Open the page again.",
	})
}

// loggedIn tells whether the browser for which a code was issued is still logged in: a logout ends what was issued in it, and what it was issued for.
func (h *Hub) loggedIn(ctx context.Context, tx Store, code OAuthCode) (bool, error) {
	if code.BrowserID == "" {
		return true, nil
	}
	sessions, err := tx.Sessions(ctx, code.UserID)
	return slices.ContainsFunc(sessions, func(s Session) bool { return s.BrowserID == code.BrowserID && s.Expires.After(h.now()) }), err
}

// authenticateClient checks the client's secret. A server's secret is any token that it was started with, a service's any that it speaks with.
func (h *Hub) authenticateClient(ctx context.Context, id, secret string) (OAuthClient, error) {
	invalid := &OAuthError{"invalid_client", "The client is not known, or its secret is wrong."}
	if id == "" || secret == "" {
		return OAuthClient{}, invalid
	}
	c, err := h.store.Client(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return OAuthClient{}, invalid
	}
	if err != nil {
		return OAuthClient{}, err
	}
	t, err := h.store.TokenByHash(ctx, hashSecret(secret))
	if errors.Is(err, ErrNotFound) || err == nil && (h.expired(t) || !t.isSecretOf(c)) {
		return OAuthClient{}, invalid
	}
	return c, err
}

func (h *Hub) checkCode(ctx context.Context, c OAuthClient, r ExchangeRequest) (OAuthCode, error) {
	if r.Code == "" {
		return OAuthCode{}, &OAuthError{"invalid_request", "The code is missing."}
	}
	code, err := h.store.CodeByHash(ctx, hashSecret(r.Code))
	switch {
	case errors.Is(err, ErrNotFound):
		return OAuthCode{}, h.refuseUsed(ctx, c, hashSecret(r.Code))
	case err != nil:
		return OAuthCode{}, err
	case code.ClientID != c.ID || !code.Expires.After(h.now()):
		return OAuthCode{}, &OAuthError{"invalid_grant", "The code is not known, was used already, or has expired."}
	}
	if r.RedirectURI != "" && r.RedirectURI != code.RedirectURI {
		return OAuthCode{}, &OAuthError{"invalid_request", "The redirect URI differs from that of the authorization."}
	}
	return code, checkVerifier(code, r.Verifier)
}

// checkVerifier proves, where a challenge was given, that who exchanges the code is who asked for it (RFC 7636).
func checkVerifier(code OAuthCode, verifier string) error {
	if code.Challenge == "" {
		return nil
	}
	if verifier == "" {
		return &OAuthError{"invalid_request", "The code verifier is missing."}
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(got), []byte(strings.TrimRight(code.Challenge, "="))) != 1 {
		return &OAuthError{"invalid_grant", "The code verifier does not fit the challenge."}
	}
	return nil
}
