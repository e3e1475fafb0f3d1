package web

import (
	"encoding/json"
	"testing"
)

// TestDetailsAreWords: what an entry says beside its columns is for people, whatever it is.
func TestDetailsAreWords(t *testing.T) {
	t.Parallel()
	for detail, want := range map[string]string{
		``:                          "",
		`{}`:                        "",
		`{"status":204}`:            "",
		`no JSON`:                   "",
		`["a"]`:                     "",
		`{"provider":"door"}`:       "provider: door",
		`{"held_back":3,"a":"<b>"}`: "a: <b>; held back: 3",
		`{"users":["ada","b, c"]}`:  "users: ada, b, c",
		`{"none":[],"no":null}`:     "no: null; none: none",
		`{"mixed":["a",1],"admin":true,"request_id":"x"}`: `admin: true; mixed: ["a",1]`,
		`{"deep":{"a":"b"}}`:                              `deep: {"a":"b"}`,
	} {
		if got := detailText(json.RawMessage(detail)); got != want {
			t.Errorf("%s reads %q, not %q", detail, got, want)
		}
	}
}
