package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/hub"
)

//go:embed static
var staticFiles embed.FS

const logoFile = "logo.svg"

// contentTypes are those of all static files; a file of another kind is a mistake that New reports.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

// asset is one static file.
type asset struct {
	content     []byte
	contentType string
}

// assets are the static files, each under a name that holds a hash of its content: what is at an address never changes, so browsers may keep it for ever.
type assets struct {
	prefix string
	hashed map[string]string // plain name → hashed name
	files  map[string]asset  // by hashed name
}

func loadAssets(prefix string) (*assets, error) {
	a := &assets{prefix: prefix, hashed: map[string]string{}, files: map[string]asset{}}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for _, e := range entries {
		content, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		kind := contentType(e.Name())
		if kind == "" {
			return nil, fmt.Errorf("web: static file %s is of no known type", e.Name())
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.hashed[e.Name()] = name
		a.files[name] = asset{content, kind}
	}
	return a, nil
}

// url is the address of a static file, for templates.
func (a *assets) url(name string) (string, error) {
	hashed, ok := a.hashed[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return a.prefix + hashed, nil
}

// static serves a file by its hashed name.
func (h *Web) static(w http.ResponseWriter, r *http.Request) error {
	f, ok := h.assets.files[chi.URLParam(r, "file")]
	if !ok {
		return hub.Errorf(hub.NotFound, "There is no such file. The page that named it may be of an older version; reload it.")
	}
	serveAsset(w, r, f, "public, max-age=31536000, immutable")
	return nil
}

// logo serves the logo at the address that JupyterLab and notebook pages show it from.
func (h *Web) logo(w http.ResponseWriter, r *http.Request) error {
	serveAsset(w, r, h.assets.files[h.assets.hashed[logoFile]], "public, max-age=3600")
	return nil
}

func serveAsset(w http.ResponseWriter, r *http.Request, f asset, caching string) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Cache-Control", caching)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
