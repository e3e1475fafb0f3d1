package internal

import (
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// walk calls visit for every file of the checkout with this ending, hidden folders and other modules' ones aside.
func walk(t *testing.T, ending string, visit func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ending) {
			return nil
		}
		text, err := os.ReadFile(name)
		visit(name, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinksInDocsLeadSomewhere follows every link of a page to another file, and to a heading in it.
func TestLinksInDocsLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pages, links := 0, 0
	walk(t, ".md", func(name, text string) {
		pages++
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if u.Scheme != "" {
				continue // another site's
			}
			links++
			target := name
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(name), filepath.FromSlash(u.Path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s leads to %s, which is not there", name, m[1])
				continue
			}
			if u.Fragment != "" && !slices.Contains(anchors(t, target), u.Fragment) {
				t.Errorf("%s leads to %s, and there is no such heading", name, m[1])
			}
		}
	})
	if pages < 20 || links < 40 {
		t.Errorf("only %d links on %d pages were looked at", links, pages)
	}
}

// anchors are the names that headings of a page get.
func anchors(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for line := range strings.Lines(string(text)) {
		if title, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); is && strings.HasPrefix(line, "#") {
			all = append(all, strings.ReplaceAll(strings.ToLower(drop.ReplaceAllString(strings.TrimSpace(title), "")), " ", "-"))
		}
	}
	return all
}

// TestEveryPageIsReachable finds each page of docs/ named in another one.
func TestEveryPageIsReachable(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	walk(t, ".md", func(name, text string) { texts[name] = text })
	for page := range texts {
		if !strings.HasPrefix(page, filepath.Join("..", "docs")) || filepath.Base(page) == "README.md" {
			continue
		}
		named := false
		for name, text := range texts {
			named = named || name != page && strings.Contains(text, filepath.Base(page)+")")
		}
		if !named {
			t.Errorf("no page leads to %s", page)
		}
	}
}

// TestDecisionsAreNumberedOnce keeps two decisions from having one number, and their titles and the index right.
func TestDecisionsAreNumberedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "docs", "explanation", "decisions")
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*.md"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d decisions, %v", len(files), err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, name := range files {
		number := filepath.Base(name)[:4]
		if other, twice := seen[number]; twice {
			t.Errorf("%s and %s have one number", name, other)
		}
		seen[number] = name
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		title, _, _ := strings.Cut(string(text), "\n")
		title, numbered := strings.CutPrefix(title, "# "+strings.TrimLeft(number, "0")+". ")
		if !numbered {
			t.Errorf("%s does not begin with its number", name)
		}
		if line := "- [" + number + "](" + filepath.Base(name) + ") " + title + "\n"; !strings.Contains(string(index), line) {
			t.Errorf("the index lacks the line %q", line)
		}
	}
}

// TestMetricsPage compares the page with the names in the code.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "reference", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`Name:\s+"((?:nomadhub|jupyterhub)_[a-z_]+)"`)
	var inCode, inPage []string
	walk(t, ".go", func(file, text string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			inCode = append(inCode, m[1])
		}
	})
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		inPage = append(inPage, m[1])
	}
	compare(t, inCode, inPage)
}

// TestAPIPage compares the page with the routes of the real API.
func TestAPIPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "reference", "rest-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	var inPage, inCode []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		inPage = append(inPage, m[1]+" "+m[2])
	}
	bench := hubtest.New(t)
	rest, err := api.New(api.Options{Hub: bench.Hub, Sessions: bench.Sessions, Logger: bench.Log})
	if err != nil {
		t.Fatal(err)
	}
	router := chi.NewRouter()
	rest.Mount(router)
	err = chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		inCode = append(inCode, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, inCode, inPage)
}

func compare(t *testing.T, inCode, inPage []string) {
	t.Helper()
	if len(inCode) < 10 {
		t.Fatalf("only %d were found in the code", len(inCode))
	}
	for _, x := range inCode {
		if !slices.Contains(inPage, x) {
			t.Errorf("%s is in the code and not on the page", x)
		}
	}
	for _, x := range inPage {
		if !slices.Contains(inCode, x) {
			t.Errorf("%s is on the page and not in the code", x)
		}
	}
}
