package hub

import (
	"strings"
	"testing"
)

func TestListingHasServersOfEachUser(t *testing.T) {
	t.Parallel()
	servers := []ServerOutline{{UserID: "b", ID: "1"}, {UserID: "b", ID: "2"}, {UserID: "c", ID: "3"}, {UserID: "e", ID: "4"}}
	for _, c := range []struct {
		servers       []ServerOutline
		asked, answer string
	}{
		{servers, "a b c d e f", " 12 3  4 "},
		{servers, "f e d c b a", " 4  3 12 "},
		{servers, "b b e b", "12 12 4 12"},
		{servers, "c", "3"},
		{nil, "a b", " "},
	} {
		l := NewListing()
		l.servers = append(l.servers, c.servers...)
		var answers []string
		for id := range strings.FieldsSeq(c.asked) {
			var answer string
			for _, s := range l.ServersOf(id) {
				answer += s.ID
			}
			answers = append(answers, answer)
		}
		if got := strings.Join(answers, " "); got != c.answer {
			t.Errorf("servers of %s: %q, not %q", c.asked, got, c.answer)
		}
		l.Done()
	}
	if got := (*Listing)(nil).ServersOf("b"); got != nil {
		t.Errorf("a listing that is not there has %v", got)
	}
}
