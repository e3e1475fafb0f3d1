package oauth

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

// tokenReply is what RFC 6749 has a client get.
type tokenReply struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

// token exchanges a code for an access token. The client proves itself by form fields only. Stock servers also send their own token in the Authorization header;
// it is not looked at.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	req, err := readExchange(w, r)
	var reply hub.ExchangeReply
	if err == nil {
		reply, err = p.hub.Exchange(r.Context(), req)
	}
	if oe, ok := errors.AsType[*hub.OAuthError](err); ok {
		httpd.Note(r, "error", oe.Code)
		if errors.Is(err, hub.ErrCodeReplayed) {
			httpd.Note(r, "revoked", "the token that the code had given")
		}
		return refuse(w, oe)
	}
	if err != nil {
		return err
	}
	httpd.DidNothing(r) // the grant is in the log
	return httpd.JSON(w, http.StatusOK, tokenReply{
		AccessToken: reply.AccessToken, TokenType: "Bearer",
		ExpiresIn: int64(reply.ExpiresIn / time.Second), Scope: strings.Join(reply.Scopes, " "),
	})
}

func refuse(w http.ResponseWriter, oe *hub.OAuthError) error {
	status := http.StatusBadRequest
	if oe.Code == "invalid_client" {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_client"`)
	}
	return httpd.JSON(w, status, map[string]string{"error": oe.Code, "error_description": oe.Description})
}

// readExchange reads the form. A body of another kind, such as JSON, has no grant type in it and is refused for that.
func readExchange(w http.ResponseWriter, r *http.Request) (hub.ExchangeRequest, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return hub.ExchangeRequest{}, nil //nolint:nilerr // an empty request is refused as one of no known grant type
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return hub.ExchangeRequest{}, &hub.OAuthError{Code: "invalid_request", Description: "The form cannot be read."}
	}
	form := r.PostForm // never the query: it ends up in logs
	for _, name := range []string{"client_id", "client_secret", "grant_type", "code", "redirect_uri", "code_verifier"} {
		if len(form[name]) > 1 {
			return hub.ExchangeRequest{}, &hub.OAuthError{Code: "invalid_request", Description: "The field " + name + " is there more than once."}
		}
	}
	return hub.ExchangeRequest{
		ClientID: form.Get("client_id"), ClientSecret: form.Get("client_secret"), GrantType: form.Get("grant_type"),
		Code: form.Get("code"), RedirectURI: form.Get("redirect_uri"), Verifier: form.Get("code_verifier"),
	}, nil
}
