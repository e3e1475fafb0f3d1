package hub

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long the code of a share lives.
const (
	MinShareCodeLife     = time.Minute
	MaxShareCodeLife     = 365 * 24 * time.Hour
	DefaultShareCodeLife = 24 * time.Hour
)

// maxShareCodes bounds how many codes of one server live at a time.
const maxShareCodes = 1000

var errNoShareCode = Errorf(NotFound, "This share code is not known, or has expired. Ask who sent it to you for a new one.")

// NewShareCode makes a code by which whoever holds it can join a server, as often as they like, until it expires. The secret is returned this once. The rules
// are those of [Hub.ShareServer]; by need not know who will hold the code.
func (h *Hub) NewShareCode(ctx context.Context, by Principal, w ShareWish, life time.Duration) (secret string, c ShareCode, err error) {
	if life < MinShareCodeLife || life > MaxShareCodeLife {
		return "", ShareCode{}, Errorf(Invalid, "A share code lives for %d to %d seconds.", int(MinShareCodeLife.Seconds()), int(MaxShareCodeLife.Seconds()))
	}
	names, err := h.shareable(ctx, by, w)
	if err != nil {
		return "", ShareCode{}, err
	}
	secret = newSecret()
	now := h.now()
	for range shareAttempts {
		c, err = h.createShareCode(ctx, w, ShareCode{Hash: hashSecret(secret), Scopes: names, Created: now, Expires: now.Add(life)})
		if !errors.Is(err, ErrExists) {
			break
		}
	}
	if err != nil {
		return "", ShareCode{}, err
	}
	h.log.InfoContext(ctx, "share code made", "user", c.UserName, "server", c.ServerName, "share_code", c.ID, "scopes", names, "expires", c.Expires)
	return secret, c, nil
}

func (h *Hub) createShareCode(ctx context.Context, w ShareWish, c ShareCode) (made ShareCode, err error) {
	err = h.store.InTx(ctx, func(tx Store) error {
		s, err := serverToShare(ctx, tx, w.Owner, w.Server, c.Created)
		if err != nil {
			return err
		}
		_, living, err := tx.ShareCodes(ctx, ShareCodeQuery{ServerID: s.ID, Now: c.Created, Limit: 1})
		if err != nil {
			return err
		}
		if living >= maxShareCodes {
			return Errorf(Invalid, "The server has %d share codes that are still good. Delete some first.", living)
		}
		c.ServerID = s.ID
		made, err = tx.CreateShareCode(ctx, c)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return ShareCode{}, Errorf(NotFound, "The server is gone.")
	}
	if err != nil {
		return ShareCode{}, fmt.Errorf("make a share code for the server %q of %s: %w", w.Server, w.Owner.ID, err)
	}
	return made, nil
}

// ShareCodes returns one page of the codes of a user's servers that have not expired, and how many there are in all.
func (h *Hub) ShareCodes(ctx context.Context, owner User, offset, limit int) ([]ShareCode, int, error) {
	return h.store.ShareCodes(ctx, ShareCodeQuery{OwnerID: owner.ID, Now: h.now(), Offset: offset, Limit: limit})
}

// ShareCodesOfServer is [Hub.ShareCodes] for one server; a NotFound [Error] if there is no such server.
func (h *Hub) ShareCodesOfServer(ctx context.Context, owner User, server string, offset, limit int) ([]ShareCode, int, error) {
	s, err := h.lent(ctx, owner, server)
	if err != nil || s.ID == "" {
		return nil, 0, err
	}
	return h.store.ShareCodes(ctx, ShareCodeQuery{ServerID: s.ID, Now: h.now(), Offset: offset, Limit: limit})
}

// ShareCode finds the code that somebody holds, or returns a NotFound [Error].
func (h *Hub) ShareCode(ctx context.Context, secret string) (ShareCode, error) {
	if secret == "" {
		return ShareCode{}, errNoShareCode
	}
	c, err := h.store.ShareCodeByHash(ctx, hashSecret(secret))
	if errors.Is(err, ErrNotFound) || err == nil && !c.Expires.After(h.now()) {
		return ShareCode{}, errNoShareCode
	}
	return c, err
}

// DeleteShareCode deletes one code of a server, by its ID or, if that is 0, by the secret. NotFound if the server has no such code.
func (h *Hub) DeleteShareCode(ctx context.Context, owner User, server string, id int64, secret string) error {
	var hash []byte
	if id == 0 {
		hash = hashSecret(secret)
	}
	n, err := h.deleteShareCodes(ctx, owner, server, id, hash)
	if err == nil && n == 0 {
		err = Errorf(NotFound, "The server has no such share code.")
	}
	return err
}

// DeleteShareCodes deletes all codes of a server. Who joined by one stays.
func (h *Hub) DeleteShareCodes(ctx context.Context, owner User, server string) error {
	_, err := h.deleteShareCodes(ctx, owner, server, 0, nil)
	return err
}

func (h *Hub) deleteShareCodes(ctx context.Context, owner User, server string, id int64, hash []byte) (int, error) {
	s, err := h.lent(ctx, owner, server)
	if err != nil || s.ID == "" {
		return 0, err
	}
	n, err := h.store.DeleteShareCodes(ctx, s.ID, id, hash)
	if err != nil {
		return 0, fmt.Errorf("delete share codes of server %s: %w", s.ID, err)
	}
	h.log.InfoContext(ctx, "share codes deleted", "user", s.UserName, "server", s.Name, "share_codes", n)
	return n, nil
}

// AcceptShare lets a user use the server that the code is for. What they may do there already stays. NotFound if the code is not known or has expired,
// Forbidden if the server is the user's own.
func (h *Hub) AcceptShare(ctx context.Context, u User, secret string) (Share, error) {
	c, err := h.ShareCode(ctx, secret)
	if err != nil {
		return Share{}, err
	}
	if c.UserName == u.Name {
		return Share{}, Errorf(Forbidden, "This is a share code for your own server.")
	}
	var share Share
	err = h.store.InTx(ctx, func(tx Store) error {
		if err := tx.CountExchange(ctx, c.ID, h.now()); err != nil { // first, so that no code that is deleted meanwhile lets anybody in
			return err
		}
		share, err = addShare(ctx, tx, c.ServerID, u.ID, "", c.Scopes, h.now())
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return Share{}, errNoShareCode
	}
	if err != nil {
		return Share{}, fmt.Errorf("accept share code %d: %w", c.ID, err)
	}
	h.log.InfoContext(ctx, "share code exchanged", "user", c.UserName, "server", c.ServerName, "with_user", u.Name, "share_code", c.ID)
	return share, nil
}
