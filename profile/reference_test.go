package profile

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestReferenceHasEverySetting holds docs/reference/profiles.md to the types that are decoded, in the section that is about each.
func TestReferenceHasEverySetting(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/reference/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, section := range []struct {
		heading string // of the section; "": anywhere
		of      reflect.Type
	}{
		{"", reflect.TypeFor[settings]()},
		{"## How it is shown", reflect.TypeFor[heading]()},
		{"### `allow`", reflect.TypeFor[rule]()},
		{"### `device", reflect.TypeFor[device]()},
		{"### `constraint`", reflect.TypeFor[constraint]()},
		{"### `constraint`", reflect.TypeFor[affinity]()},
		{"### `constraint`", reflect.TypeFor[spread]()},
		{"### `network`", reflect.TypeFor[network]()},
		{"### `volume", reflect.TypeFor[volume]()},
		{"### `task", reflect.TypeFor[task]()},
		{"### `restart`", reflect.TypeFor[restart]()},
		{"### `restart`", reflect.TypeFor[reschedule]()},
		{"### `restart`", reflect.TypeFor[disconnect]()},
		{"## `option", reflect.TypeFor[optionHeading]()},
		{"### `choice", reflect.TypeFor[choiceHeading]()},
	} {
		body := text
		if section.heading != "" {
			_, after, found := strings.Cut(text, "\n"+section.heading)
			if !found {
				t.Fatalf("there is no section %q", section.heading)
			}
			body, _, _ = strings.Cut(after, "\n#")
			body = section.heading + body
		}
		for _, e := range elements(section.of) {
			if !regexp.MustCompile("`[^`\n]*\\b" + e.name + "\\b[^`\n]*`").MatchString(body) {
				t.Errorf("section %q does not name %s", section.heading, e.name)
			}
		}
	}
	for name := range functions() {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the function %s is not named", name)
		}
	}
}

// TestExamplesAreProfiles decodes every example of the how-to page.
func TestExamplesAreProfiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/how-to/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(examples) < 5 {
		t.Fatalf("there are %d examples", len(examples))
	}
	for _, e := range examples {
		set, err := decode(e[1])
		if err != nil {
			t.Errorf("%v\n%s", err, e[1])
			continue
		}
		for _, c := range set.Cases() {
			if c.Err != nil {
				t.Errorf("%s: %v", c, c.Err)
			}
		}
	}
}
