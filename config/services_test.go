package config

import (
	"slices"
	"strings"
	"testing"
)

const culler = `
service "culler" {
  command   = ["cull", "--timeout=3600"]
  api_token = "a-long-secret-token"
  environment = {
    DB_PASSWORD = "hush"
    LANG        = "C"
  }
}
`

func TestServicesOfLaterFilesReplaceThoseOfEarlierOnes(t *testing.T) {
	t.Parallel()
	c, err := loadTexts(t, culler, `
service "news" {
  url     = "http://10.0.0.5:9000"
  display = false
}
service "culler" { admin = true }
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Services) != 2 || c.Services[0].Name != "culler" || !c.Services[0].Admin || c.Services[0].Command != nil || !c.Services[0].Displayed() {
		t.Errorf("the services are %+v", c.Services)
	}
	if news := c.Services[1]; news.URL != "http://10.0.0.5:9000" || news.Displayed() {
		t.Errorf("news is %+v", news)
	}
	if _, err := loadTexts(t, culler+culler); err == nil || !strings.Contains(err.Error(), `two blocks service have the name "culler"`) {
		t.Errorf("two of one name: %v", err)
	}
}

func TestSecretsOfServicesAreNotShown(t *testing.T) {
	t.Parallel()
	c, err := loadTexts(t, culler)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := Describe(c).WriteHCL(&text); err != nil {
		t.Fatal(err)
	}
	if shown := text.String(); strings.Contains(shown, "a-long-secret") || strings.Contains(shown, "hush") || !strings.Contains(shown, `LANG = "C"`) && !strings.Contains(shown, `"LANG" = "C"`) {
		t.Errorf("shown is:\n%s", shown)
	}
}

// TestDifferencesOfServices: also one of secrets alone counts, and where a block stands does not.
func TestDifferencesOfServices(t *testing.T) {
	t.Parallel()
	load := func(text string) Config {
		c, err := loadTexts(t, text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := load(culler)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"moved":         {"\n\n" + culler, nil},
		"another token": {strings.ReplaceAll(culler, "a-long", "another"), []string{"service.culler"}},
		"another value": {strings.ReplaceAll(culler, "hush", "loud"), []string{"service.culler"}},
		"gone":          {"", []string{"service.culler"}},
		"one more":      {culler + "service \"x\" {}\n", []string{"service.x"}},
	} {
		got := slices.DeleteFunc(Differences(before, load(c.text)), func(option string) bool { return !strings.HasPrefix(option, "service.") }) // files lie elsewhere
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestServicesInEachOthersWay(t *testing.T) {
	t.Parallel()
	const cluster = "nomad {}\nconsul {}\n"
	for text, want := range map[string]string{
		"service \"a\" { url = \"http://h:1\" }\nservice \"b\" { url = \"http://h:1\" }":                          `line 2: service "b": the service "a" listens at h:1 already`,
		"service \"a\" {}\nservice \"b\" { oauth_client_id = \"service-a\" }":                                     `line 2: service "b": the service "a" has the OAuth client ID`,
		"service \"a\" { url = \"http://%zz\" }":                                                                  `line 1: service "a": its url`,
		cluster + "service \"a\" {\n  command = [\"x\"]\n  url = \"http://127.0.0.1:1\"\n}":                       `line 3: service "a": Nomad runs it and decides where it listens`,
		cluster + "service \"a\" { serves = true }":                                                               `line 3: service "a": it has neither command nor image`,
		cluster + "service \"a\" {\n  image = \"x\"\n  port = 80\n}":                                              `line 3: service "a": it has a port`,
		cluster + "service \"a\" {\n  image = \"x\"\n  serves = true\n  port = 70000\n}":                          `line 3: service "a": port is 0 to 65535`,
		cluster + "service \"a\" {\n  image = \"x\"\n  serves = true\n  port = 8000\n}":                           "",
		"service \"a\" {\n  command = [\"x\"]\n  serves = true\n}":                                                `line 1: service "a": serves, image, driver`,
		cluster + "service \"a\" { url = \"http://127.0.0.1:1\" }\nservice \"b\" { command = [\"cull-idle\"] }\n": "",
	} {
		c, err := loadTexts(t, text)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
