package redirect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"golang.org/x/oauth2"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/secret"
)

// Client is how the hub proves to a provider that it is the hub.
type Client struct {
	// Secret returns the client secret as it is now; nil means that the client has none.
	Secret func() secret.Value
	// Refresh makes Secret look into its store at once; nil means that it cannot.
	Refresh func(context.Context) error
	HTTP    *http.Client
	Log     *slog.Logger
}

// Exchange gives the code back for a token. It fails with ErrDenied if the provider does not accept the code, and with ErrUnavailable if it
// does not answer, or does not accept the hub itself.
func (c *Client) Exchange(ctx context.Context, config oauth2.Config, code, verifier string) (*oauth2.Token, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	before := c.secret()
	token, err := c.exchange(ctx, config, before, code, verifier)
	if !refusesClient(err) || c.Refresh == nil {
		return token, explain(err)
	}
	// The secret was perhaps replaced a moment ago. A provider looks at the client before it looks at the code, so the code is
	// still good; and if the secret is the same there is nothing to try.
	if err := c.Refresh(ctx); err != nil {
		c.Log.WarnContext(ctx, "client secret refused by the provider and not read again", "client_id", config.ClientID, "err", err)
	}
	if c.secret() == before {
		return nil, explain(err)
	}
	c.Log.InfoContext(ctx, "client secret refused by the provider, its new version is used", "client_id", config.ClientID)
	token, err = c.exchange(ctx, config, c.secret(), code, verifier)
	return token, explain(err)
}

// ready makes sure that there is a secret, which could not be read when the hub started. To try without one would cost the code.
func (c *Client) ready(ctx context.Context) error {
	if c.Secret == nil || c.Secret() != "" {
		return nil
	}
	var err error
	if c.Refresh != nil {
		err = c.Refresh(ctx)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: the hub has no client secret: %w", auth.ErrUnavailable, err)
	case c.Secret() == "":
		return fmt.Errorf("%w: the hub has no client secret", auth.ErrUnavailable)
	default:
		return nil
	}
}

func (c *Client) secret() secret.Value {
	if c.Secret == nil {
		return ""
	}
	return c.Secret()
}

func (c *Client) exchange(ctx context.Context, config oauth2.Config, s secret.Value, code, verifier string) (*oauth2.Token, error) {
	config.ClientSecret = s.Reveal()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, c.HTTP)
	return config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
}

// refusesClient tells whether the provider refused the hub, not the person. GitHub has a word of its own for it.
func refusesClient(err error) bool {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && (slices.Contains([]string{"invalid_client", "unauthorized_client", "incorrect_client_credentials"}, answer.ErrorCode) ||
		answer.ErrorCode == "" && answer.Response.StatusCode == http.StatusUnauthorized)
}

// explain leaves out the body of the answer, which the library's error would show.
func explain(err error) error {
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return fmt.Errorf("%w: exchange the code: %w", auth.ErrUnavailable, err)
	}
	code := answer.Response.StatusCode
	switch {
	case refusesClient(err):
		return fmt.Errorf("%w: the provider does not accept the hub's client ID and secret, with status %d %s",
			auth.ErrUnavailable, code, said(answer.ErrorCode, answer.ErrorDescription))
	case code >= 500, code == http.StatusTooManyRequests, answer.ErrorCode == "": // the last is no answer by OAuth at all
		return fmt.Errorf("%w: the provider answered the exchange of the code with status %d %s",
			auth.ErrUnavailable, code, said(answer.ErrorCode, answer.ErrorDescription))
	default:
		return fmt.Errorf("%w: the provider did not accept the code, with status %d %s",
			auth.ErrDenied, code, said(answer.ErrorCode, answer.ErrorDescription))
	}
}
