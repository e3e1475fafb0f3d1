package web

import "testing"

func openPages(t *testing.T) pages {
	t.Helper()
	assets, err := loadAssets("/hub/static/")
	if err != nil {
		t.Fatal(err)
	}
	all, err := newPages(assets)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPagesParse: a page is parsed when it is first shown, and a mistake in one must not wait for that.
func TestPagesParse(t *testing.T) {
	t.Parallel()
	all := openPages(t)
	if len(all) < 10 {
		t.Errorf("there are %d pages", len(all))
	}
	for name, made := range all {
		set, err := made()
		if err != nil {
			t.Errorf("the page %s: %v", name, err)
		} else if set.Lookup("main") == nil || set.Lookup("layout") == nil {
			t.Errorf("the page %s has no main part, or no layout", name)
		}
	}
}
