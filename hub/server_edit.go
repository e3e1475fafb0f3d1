package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxDisplayName bounds what a person calls a server, in characters.
const maxDisplayName = 255

// ServerEdit is what may be changed of a server that does not run; nil leaves it.
type ServerEdit struct {
	Name        *string
	DisplayName *string         // "": none of its own, so that it is called by its name
	Options     json.RawMessage // user_options, a JSON object
}

// NormalizeDisplayName gives the one form of what a person calls a server, or an Invalid [Error]: up to 255 characters that can be seen, with single spaces
// between them.
func NormalizeDisplayName(text string) (string, error) {
	text = norm.NFC.String(text)
	switch {
	case !utf8.ValidString(text):
		return "", Errorf(Invalid, "The display_name is not valid UTF-8.")
	case utf8.RuneCountInString(text) > maxDisplayName:
		return "", Errorf(Invalid, "The display_name is longer than %d characters.", maxDisplayName)
	case text != strings.TrimSpace(text) || strings.Contains(text, "  "):
		return "", Errorf(Invalid, "The display_name may hold single spaces between words, and none around them.")
	}
	for _, r := range text {
		if r != ' ' && !unicode.IsPrint(r) {
			return "", Errorf(Invalid, "The display_name may not hold the invisible character %U.", r)
		}
	}
	return text, nil
}

// Title is what people call the server: the name that its owner gave it for that, or else its name.
func (s Server) Title() string { return cmp.Or(s.DisplayName, s.Name) }

var errNamedOff = Errorf(Invalid, "Named servers are not switched on at this hub.")

// CreateServer makes a named server of the user and does not start it. Conflict if there is one of the name, or if it is the default server, which everybody
// has.
func (h *Hub) CreateServer(ctx context.Context, u User, name string, e ServerEdit) (Server, error) {
	switch {
	case name == "":
		return Server{}, Errorf(Conflict, "%s has a default server already.", u.Name)
	case !h.Limits().AllowNamed:
		return Server{}, errNamedOff
	}
	if err := ValidateServerName(name); err != nil {
		return Server{}, err
	}
	e.Name = nil
	s, err := h.edited(u, Server{ID: newID(), UserID: u.ID, UserName: u.Name, Name: name, State: Stopped, Created: h.now()}, e)
	if err != nil {
		return Server{}, err
	}
	err = h.store.InTx(ctx, func(tx Store) error {
		switch _, err := tx.ServerByName(ctx, u.ID, name); {
		case err == nil:
			return ErrExists
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if err := h.checkNamedLimit(ctx, tx, u); err != nil {
			return err
		}
		return tx.CreateServer(ctx, s)
	})
	if errors.Is(err, ErrExists) {
		return Server{}, errNameTaken(u, name)
	}
	if err != nil {
		return Server{}, fmt.Errorf("create a server: %w", err)
	}
	h.log.InfoContext(ctx, "server created", "user", u.Name, "server", name, "server_id", s.ID)
	return s, nil
}

func errNameTaken(u User, name string) error {
	return Errorf(Conflict, "%s has a server named %q already.", u.Name, name)
}

// checkNamedLimit refuses another named server where the user has as many as they may.
func (h *Hub) checkNamedLimit(ctx context.Context, tx Store, u User) error {
	limit := h.NamedLimit(u)
	if limit <= 0 {
		return nil
	}
	have, _, err := tx.Servers(ctx, ServerQuery{UserIDs: []string{u.ID}})
	if err != nil {
		return err
	}
	named := 0
	for _, s := range have {
		if s.Name != "" {
			named++
		}
	}
	if named >= limit {
		return Errorf(Invalid, "%s has %d named servers, and no more are allowed. Remove one first.", u.Name, named)
	}
	return nil
}

// edited is the server with the changes. Options are brought into the form in which a start would keep them, and are Invalid if none could.
func (h *Hub) edited(u User, s Server, e ServerEdit) (Server, error) {
	if e.Name != nil {
		s.Name = *e.Name
	}
	if e.DisplayName != nil {
		var err error
		if s.DisplayName, err = NormalizeDisplayName(*e.DisplayName); err != nil {
			return s, err
		}
	}
	if e.Options == nil {
		return s, nil
	}
	if err := checkOptions(e.Options); err != nil {
		return s, err
	}
	c, err := h.choose(u, s, e.Options)
	if err != nil {
		return s, err
	}
	s.Options = c.options
	return s, nil
}

// EditServer changes a server that is stopped, as it was read. Invalid while it is active. With another name, its volumes, shares and usage stay with it, and what
// scopes say of it is written anew; Conflict if the name is taken.
func (h *Hub) EditServer(ctx context.Context, u User, seen Server, e ServerEdit) (Server, error) {
	if err := h.checkRename(seen, e); err != nil {
		return Server{}, err
	}
	var next Server
	err := h.store.InTx(ctx, func(tx Store) error {
		var err error
		if next, err = h.editIn(ctx, tx, u, seen, e); err != nil {
			return err
		}
		if next.Name == seen.Name {
			return nil
		}
		return tx.ServerRenamed(ctx, next.ID, seen.Name)
	})
	switch {
	case errors.Is(err, ErrExists):
		return Server{}, errNameTaken(u, *e.Name)
	case err != nil:
		return Server{}, fmt.Errorf("edit a server: %w", err)
	}
	h.log.InfoContext(ctx, "server edited", "user", u.Name, "server", next.Name, "was", seen.Name, "server_id", next.ID)
	h.journals.touch(next.ID)
	return next, nil
}

// checkRename refuses names that the server cannot have.
func (h *Hub) checkRename(s Server, e ServerEdit) error {
	switch {
	case e.Name == nil || *e.Name == s.Name:
		return nil
	case !h.Limits().AllowNamed:
		return errNamedOff
	case s.ID == "":
		return Errorf(NotFound, "The default server was never started, so there is nothing to rename.")
	}
	return ValidateServerName(*e.Name)
}

// editIn writes the edited server. The default server has no row before it is first written.
func (h *Hub) editIn(ctx context.Context, tx Store, u User, seen Server, e ServerEdit) (Server, error) {
	now := seen
	if seen.ID != "" {
		var err error
		if now, err = tx.ServerByID(ctx, seen.ID); err != nil {
			return Server{}, err
		}
	}
	if now.Active() {
		return Server{}, Errorf(Invalid, "The server is active. Stop it before you change it.")
	}
	next, err := h.edited(u, now, e)
	if err != nil {
		return Server{}, err
	}
	if next.ID == "" {
		next.ID, next.Created = newID(), h.now()
		return next, tx.CreateServer(ctx, next)
	}
	if next.Name != now.Name && now.Name == "" { // there will be another default server, so this is one more
		if err := h.checkNamedLimit(ctx, tx, u); err != nil {
			return Server{}, err
		}
	}
	return tx.UpdateServer(ctx, next)
}
