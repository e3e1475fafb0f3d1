package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// pass is a token, as far as the API tells.
type pass struct {
	ID           string   `json:"id"`
	Note         string   `json:"note"`
	Scopes       []string `json:"scopes"`
	Created      moment   `json:"created"`
	LastActivity moment   `json:"last_activity"`
	Expires      moment   `json:"expires_at"`
	Client       string   `json:"oauth_client"`
	Secret       string   `json:"token"` // of a new one only
}

func tokenVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "list the tokens of a user", prepareTokenList},
		{"create", "", 0, 0, "make a token, and print its secret", prepareTokenCreate},
		{"revoke", "ID...", 1, -1, "end tokens", prepareTokenRevoke},
	}
}

// ofUser adds the option that says whose tokens are meant.
func ofUser(fs *flag.FlagSet) func(ctx context.Context, r *remote) (path string, err error) {
	user := fs.String("user", "", "whose; default: who the caller is")
	return func(ctx context.Context, r *remote) (string, error) {
		name := *user
		if name == "" {
			var who struct{ Kind, Name string }
			if _, err := r.get(ctx, "/user", &who); err != nil {
				return "", err
			}
			if who.Kind != "user" {
				return "", misused("the caller is no user; say whose tokens are meant: -user NAME")
			}
			name = who.Name
		}
		return restclient.Path("users", name, "tokens"), nil
	}
}

func prepareTokenList(fs *flag.FlagSet) action {
	whose := ofUser(fs)
	return func(ctx context.Context, r *remote, _ []string) error {
		path, err := whose(ctx, r)
		if err != nil {
			return err
		}
		var all struct {
			Tokens []json.RawMessage `json:"api_tokens"`
		}
		if _, err = r.get(ctx, path, &all); err != nil || r.json {
			return r.orJSON(all.Tokens, err)
		}
		rows := make([][]string, len(all.Tokens))
		for i, raw := range all.Tokens {
			var p pass
			if err := json.Unmarshal(raw, &p); err != nil {
				return err
			}
			rows[i] = []string{p.ID, p.Note, p.Client, p.Created.String(), p.LastActivity.String(), p.Expires.String()}
		}
		return r.table([]string{"ID", "NOTE", "FOR", "CREATED", "LAST USED", "EXPIRES"}, rows)
	}
}

func prepareTokenCreate(fs *flag.FlagSet) action {
	whose := ofUser(fs)
	note := fs.String("note", "made by nomadhub token create", "what the token is for")
	expires := fs.Duration("expires", 0, "time after which the token ends, such as 720h; default: never")
	var scopes words
	fs.Var(&scopes, "scopes", "scopes, separated by commas; default: all that the user may do")
	return func(ctx context.Context, r *remote, _ []string) error {
		if *expires < 0 || *expires > 0 && *expires < time.Second {
			return misused("-expires takes a second at least")
		}
		path, err := whose(ctx, r)
		if err != nil {
			return err
		}
		body := map[string]any{"note": *note}
		if *expires > 0 {
			body["expires_in"] = int64(expires.Seconds())
		}
		if scopes != nil {
			body["scopes"] = []string(scopes)
		}
		var p pass
		raw, err := r.call(ctx, http.MethodPost, path, body, &p)
		if err != nil || r.json {
			return r.orJSON(raw, err)
		}
		_, err = fmt.Fprintln(r.out, p.Secret)
		return err
	}
}

func prepareTokenRevoke(fs *flag.FlagSet) action {
	whose := ofUser(fs)
	return func(ctx context.Context, r *remote, ids []string) error {
		path, err := whose(ctx, r)
		if err != nil {
			return err
		}
		for _, id := range ids {
			id = "a" + strings.TrimPrefix(id, "a")
			if _, err := r.call(ctx, http.MethodDelete, path+restclient.Path(id), nil, nil); err != nil {
				return about("token "+id, err)
			}
			if err := r.done(nil, "token %s revoked", id); err != nil {
				return err
			}
		}
		return nil
	}
}
