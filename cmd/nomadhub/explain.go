package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/store"
)

// runExplain tells whether somebody may do something, and why, with the database and a configuration alone: so it also tells what a configuration would change
// that is not in force yet.
func runExplain(ctx context.Context, args []string, std streams) error {
	fs := newFlags("explain", std)
	database := addDatabaseFlags(fs)
	user := fs.String("user", "", "name of the user whom it is about")
	service := fs.String("service", "", "name of the service that it is about, instead")
	tokenScopes := fs.String("token-scopes", "", "scopes of the token that they show, separated by commas; default: they show none")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if (*user == "") == (*service == "") || fs.NArg() < 1 || fs.NArg() > 2 {
		return errors.New("say about whom and what: nomadhub explain -user NAME SCOPE [OBJECT]; an object is user=NAME, group=NAME, server=USER/SERVER or service=NAME")
	}
	on, err := scope.ParseObject(fs.Arg(1))
	if err != nil {
		return err
	}
	db, pending, err := database.open(ctx, std)
	if err != nil {
		return err
	}
	defer db.Close()
	if len(pending) > 0 {
		return errors.New("the database has not the schema of this version; run nomadhub migrate first, or start the hub once")
	}
	roles, err := rolePolicy(database.config)
	if err != nil {
		return err
	}
	q := scope.Question{Service: *service, Scope: fs.Arg(0), On: on}
	if *tokenScopes != "" {
		q.Token = strings.FieldsFunc(*tokenScopes, func(r rune) bool { return r == ',' || r == ' ' })
		if err := roles.Validate(q.Token); err != nil {
			return err
		}
	}
	if *service != "" {
		q.ServiceAdmin, err = isAdminService(ctx, db, database.config, *service)
	} else {
		q.User, err = holderNamed(ctx, db, *user)
	}
	if err != nil {
		return err
	}
	answer, err := hub.Explain(ctx, db, roles, q)
	if refused, ok := errors.AsType[*hub.Error](err); ok {
		return errors.New(refused.Message)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(std.out).Encode(answer)
	}
	return printAnswer(std.out, answer)
}

func holderNamed(ctx context.Context, db *store.Store, name string) (scope.Holder, error) {
	u, err := db.UserByName(ctx, hub.NormalizeUserName(name))
	if errors.Is(err, hub.ErrNotFound) {
		return scope.Holder{}, fmt.Errorf("there is no user named %q", name)
	}
	return hub.HolderOf(u), err
}

// isAdminService tells whether a service is an administrator. What the configuration says of it goes before what the database holds.
func isAdminService(ctx context.Context, db *store.Store, cfg config.Config, name string) (bool, error) {
	if i := slices.IndexFunc(cfg.Services, func(s config.Service) bool { return s.Name == name }); i >= 0 {
		return cfg.Services[i].Admin, nil
	}
	s, err := db.Service(ctx, name)
	if errors.Is(err, hub.ErrNotFound) || err == nil && s.Origin == hub.FromConfig {
		return false, fmt.Errorf("there is no service named %q; name the configuration that has it with -config", name)
	}
	return s.Admin, err
}

func printAnswer(w io.Writer, a scope.Answer) error {
	var text strings.Builder
	if a.Granted {
		fmt.Fprintf(&text, "granted: %s holds %s for %s\n", a.Who, a.Scope, a.On)
	} else {
		fmt.Fprintf(&text, "refused: %s does not hold %s for %s\n", a.Who, a.Scope, a.On)
	}
	for _, c := range a.Because {
		fmt.Fprintf(&text, "  %s has %s", from(c), c.Holds)
		if c.Gives != c.Holds {
			fmt.Fprintf(&text, ", which gives %s", c.Gives)
		}
		text.WriteString("\n")
	}
	for _, sentence := range a.Refused {
		fmt.Fprintf(&text, "  %s\n", sentence)
	}
	if !a.Granted {
		fmt.Fprintf(&text, "  One of these scopes would do: %s\n  Roles that hold one of them for anything: %s\n",
			strings.Join(a.Acceptable, ", "), cmp.Or(strings.Join(a.Roles, ", "), "none"))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// from says in words where somebody has a grant from.
func from(c scope.Cause) string {
	switch c.Source {
	case scope.FromAll:
		return "the role " + c.Role + ", which everybody has,"
	case scope.FromAdmin:
		return "the role " + c.Role + ", by being an administrator,"
	case scope.FromConfig:
		return "the role " + c.Role + ", by the configuration,"
	case scope.FromLogin:
		return "the role " + c.Role + ", by the last login,"
	case scope.FromGroup:
		return "the role " + c.Role + ", by the group " + c.Group + ","
	case scope.FromShare:
		return "a share"
	case scope.FromToken:
		return "the token"
	}
	return string(c.Source)
}
