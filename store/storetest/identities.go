package storetest

import "github.com/nomadhub/nomadhub/hub"

func identities() []test {
	return []test{
		{"A subject finds its user", func(f fixture) {
			ada, bob := f.user("ada", "maths"), f.user("bob")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "github", "17"))
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "oidc", "17"))
			f.must(f.store.LinkIdentity(f.ctx, bob.ID, "github", "18"))
			got, err := f.store.UserByIdentity(f.ctx, "oidc", "17")
			f.must(err)
			f.same("the user", got, ada)
			subjects, err := f.store.Identities(f.ctx, ada.ID)
			f.must(err)
			f.same("the identities", subjects, map[string]string{"github": "17", "oidc": "17"})
			_, err = f.store.UserByIdentity(f.ctx, "oidc", "18")
			f.wants(err, hub.ErrNotFound)
		}},
		{"A subject belongs to one user, and a user has one subject of a provider", func(f fixture) {
			ada, bob := f.user("ada"), f.user("bob")
			f.must(f.store.LinkIdentity(f.ctx, ada.ID, "github", "17"))
			f.wants(f.store.LinkIdentity(f.ctx, bob.ID, "github", "17"), hub.ErrExists)
			f.wants(f.store.LinkIdentity(f.ctx, ada.ID, "github", "17"), hub.ErrExists)
			f.wants(f.store.LinkIdentity(f.ctx, ada.ID, "github", "18"), hub.ErrExists)
			f.wants(f.store.LinkIdentity(f.ctx, newID(), "github", "19"), hub.ErrNotFound)
			got, err := f.store.UserByIdentity(f.ctx, "github", "17")
			f.must(err)
			f.same("the owner", got.Name, "ada")
		}},
		{"Nobody has no identities", func(f fixture) {
			subjects, err := f.store.Identities(f.ctx, newID())
			f.must(err)
			f.same("the identities", subjects, map[string]string{})
		}},
	}
}
