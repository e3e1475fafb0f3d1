package hub_test

import (
	"fmt"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// A page is what it would be without the page whose memory it uses, whichever is the longer.
func TestListingForgetsWhatItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 5 {
		if _, err := b.hub.CreateUser(t.Context(), fmt.Sprintf("user%d", i), i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	l := hub.NewListing()
	defer l.Done()
	for _, q := range []hub.UserQuery{{Limit: 5}, {Offset: 3, Limit: 1}, {Offset: 1, Limit: 3}, {Offset: 90, Limit: 2}, {NameContains: "user3"}, {Limit: 2, Descending: true}} {
		if err := b.hub.ListUsers(t.Context(), l, q); err != nil {
			t.Fatal(err)
		}
		fresh, total, err := b.hub.Users(t.Context(), q)
		if err != nil || fmt.Sprint(l.Users) != fmt.Sprint(fresh) || l.Total != total {
			t.Errorf("page %+v: %v of %d, not %v of %d (%v)", q, l.Users, l.Total, fresh, total, err)
		}
	}
}
