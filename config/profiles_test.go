package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLaterFilesReplaceProfilesByName(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"10.hcl": "profile_defaults {\n  cpu = 1\n}\nprofile \"a\" {\n  cpu = 1\n}\nprofile \"b\" {}\n",
		"20.hcl": "profile_defaults {\n  cpu = 2\n}\nprofile \"c\" {}\nprofile \"a\" {\n  image = \"x-${user.name}\"\n}\n",
	})
	c, err := Load(Default("/data"), []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range c.Profiles {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) || !strings.Contains(c.Profiles[0].Text, "profile \"a\" {\n  image = \"x-${user.name}\"\n}") {
		t.Errorf("got %v, the first being %s", names, c.Profiles[0].Text)
	}
	if len(c.ProfileDefaults) != 2 || !strings.Contains(c.ProfileDefaults[1].Text, "cpu = 2") {
		t.Errorf("defaults %+v", c.ProfileDefaults)
	}
}

func TestProfilesTwiceInOneFileAreRefusedWithTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"profile \"a\" {}\nprofile \"a\" {}":       "line 2: two profiles have the name \"a\"",
		"profile_defaults {}\nprofile_defaults {}": "line 2: there are two blocks profile_defaults",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	const before = `
listen {
  public = "127.0.0.1:1"
}
authenticator "dummy" "a" {
  password = env("P")
}
profile "x" {
  cpu = 1
}
profile "y" {}
`
	for name, test := range map[string]struct {
		after string
		want  []string
	}{
		"nothing":               {before, nil},
		"a comment and a shift": {"\n\n# why\n" + before, nil},
		"an option":             {strings.ReplaceAll(before, ":1\"", ":2\""), []string{"listen.public"}},
		"a block":               {before + "nomad {}\nconsul {}", []string{"consul", "nomad"}},
		"an authenticator":      {strings.ReplaceAll(before, `env("P")`, `"p"`), []string{"authenticator.a"}},
		"another one":           {strings.ReplaceAll(before, `"a" {`, `"b" {`), []string{"authenticator.a", "authenticator.b"}},
		"a profile":             {strings.ReplaceAll(before, "cpu = 1", "cpu = 2"), []string{"profile.x"}},
		"a profile gone":        {strings.ReplaceAll(before, "profile \"y\" {}", ""), []string{"profile", "profile.y"}},
		"defaults":              {before + "profile_defaults {}", []string{"profile_defaults"}},
		"top":                   {before + "base_url = \"/x/\"", []string{"base_url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := []string{"P=p"}
			got := Differences(mustLoad(t, before, environ...), mustLoad(t, test.after, environ...))
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestFingerprintFollowsContentAndGlanceFollowsWrites(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.hcl": "", "b.txt": ""})
	more := filepath.Join(dir, "b.txt")
	held, glance := Fingerprint([]string{dir}), Glance([]string{dir}, []string{more})
	if Fingerprint([]string{dir}) != held || Glance([]string{dir}, []string{more}) != glance {
		t.Fatal("they change by themselves")
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.txt", "x")
	if Fingerprint([]string{dir}) != held || Glance([]string{dir}, []string{more}) == glance {
		t.Error("a further file: only a glance shall see it")
	}
	glance = Glance([]string{dir}, []string{more})
	write("c.hcl", "")
	if Fingerprint([]string{dir}) == held || Glance([]string{dir}, []string{more}) == glance {
		t.Error("a new file is not noticed")
	}
	if Fingerprint([]string{dir + "/none"}) == held {
		t.Error("a folder that is gone is not noticed")
	}
}
