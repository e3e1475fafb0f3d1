package web

import (
	"errors"
	"html/template"
	"strconv"
	"strings"
	"testing"
)

// TestStencilsAreThePage: a page out of a stencil is the page that its template makes.
func TestStencilsAreThePage(t *testing.T) {
	t.Parallel()
	all := openPages(t)
	s := newStencils()
	for _, action := range []string{"/hub/login", "/hub/login?next=%2Fuser%2Fada%2F&a=%22b%22"} {
		v := loginView{chrome: chrome{Title: "Log in"}, Action: action, Forms: []loginForm{{ID: "pam", Label: "PAM", First: true}}}
		render := func(token string) ([]byte, error) {
			v.XSRF = token
			return all.render("login", v)
		}
		for _, token := range []string{"anon-1.a_b-", `<"&'>`, "anon-2"} {
			want, err := render(token)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.fill(action, token, render)
			if err != nil || string(got) != string(want) {
				t.Errorf("%s with %s: %v\n%s\nwant\n%s", action, token, err, got, want)
			}
			if n := strings.Count(string(got), template.HTMLEscapeString(token)); n != 2 {
				t.Errorf("the token is there %d times, want in the head and in the form", n)
			}
		}
	}
}

func TestStencilsAreMadeOnceAndBounded(t *testing.T) {
	t.Parallel()
	s, made := newStencils(), 0
	render := func(token string) ([]byte, error) {
		made++
		return []byte("[" + token + "]"), nil
	}
	fill := func(key string, want int) {
		t.Helper()
		got, err := s.fill(key, "x", render)
		if string(got) != "[x]" || err != nil || made != want {
			t.Fatalf("%q, %v after %d, want [x] after %d", got, err, made, want)
		}
	}
	fill("a", 1)
	fill("a", 1)
	fill("b", 2)
	fill(strings.Repeat("k", maxStencilKey+1), 3)
	fill(strings.Repeat("k", maxStencilKey+1), 4)
	for i := range 3 * maxStencils {
		fill(strconv.Itoa(i), 5+i)
		if len(s.of) > maxStencils {
			t.Fatalf("%d are kept", len(s.of))
		}
	}
	broken := errors.New("broken")
	if _, err := s.fill("c", "x", func(string) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("a page that cannot be made gives %v", err)
	}
}
