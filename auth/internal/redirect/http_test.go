package redirect

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHTTPIsBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			for i := 0; i < 64 && r.Context().Err() == nil; i++ {
				_, _ = io.WriteString(w, strings.Repeat("x", 64<<10))
			}
		case "/elsewhere":
			http.Redirect(w, r, "/target", http.StatusTemporaryRedirect)
		case "/target":
			t.Error("a redirect was followed")
		case "/slow":
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	client, err := NewHTTP("", "200ms")
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return client.Do(req)
	}
	if resp, err := get("/slow"); err == nil {
		_ = resp.Body.Close()
		t.Error("waits for ever")
	}
	resp, err := get("/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("status %d", resp.StatusCode)
	}
	patient, err := NewHTTP("", "")
	if err != nil {
		t.Fatal(err)
	}
	client = patient
	if resp, err = get("/endless"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || len(text) != maxBody {
		t.Errorf("read %d bytes, %v; want %d", len(text), err, maxBody)
	}
}

func TestNoCertificates(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewHTTP(file, ""); err == nil || !strings.Contains(err.Error(), "holds none") {
		t.Errorf("%v", err)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://example.org", "https://example.org:8443/realms/x", "http://127.0.0.1:5556/dex", "http://localhost", "http://[::1]:80"} {
		if err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "example.org", "/path", "http://example.org", "http://127.0.0.1.example.org", "http://localhost.example.org", "ftp://example.org",
		"javascript:alert(1)", "https://", "https://a@example.org", "https://example.org#x", "https://exa mple.org", "http://10.0.0.1",
	} {
		if err := CheckURL(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
