package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// runToken makes a token with the database alone, so that it works while no hub runs: for the first script of an operator. With a verb it speaks to a hub.
func runToken(ctx context.Context, args []string, std streams) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return byVerbs("token", tokenVerbs)(ctx, args, std)
	}
	fs := newFlags("token", std)
	database := addDatabaseFlags(fs)
	user := fs.String("user", "", "name of the user whose token it is (required)")
	note := fs.String("note", "made by nomadhub token", "what the token is for")
	scopes := fs.String("scopes", "", "scopes, separated by commas; default: all that the user may do")
	expires := fs.Duration("expires", 0, "time after which the token ends, such as 720h; default: never")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *user == "" {
		return errors.New("say whose token it shall be: nomadhub token -user NAME")
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
	owner, err := db.UserByName(ctx, hub.NormalizeUserName(*user))
	if errors.Is(err, hub.ErrNotFound) {
		return fmt.Errorf("there is no user named %q; they have to log in once, or be added by an administrator", *user)
	}
	if err != nil {
		return err
	}
	want := hub.NewToken{Note: *note, ExpiresIn: *expires}
	if *scopes != "" {
		want.Scopes = strings.FieldsFunc(*scopes, func(r rune) bool { return r == ',' || r == ' ' })
	}
	secret, _, err := hub.IssueToken(ctx, db, roles, owner, want)
	if refused, ok := errors.AsType[*hub.Error](err); ok {
		return errors.New(refused.Message) // the sentence alone; the cause is in it
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(std.out, secret)
	return nil
}
