package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"
)

// mountDocs adds the API's description. It tells nothing that the program's source does not, so it is open to everybody.
func (a *API) mountDocs(r chi.Router) {
	described := sync.OnceValues(a.renderDocs)
	r.Get("/openapi.json", a.do(func(w http.ResponseWriter, _ *http.Request) error {
		d, err := described()
		if err != nil {
			return err
		}
		return writeDoc(w, "application/json", d.document)
	}))
	r.Get("/docs", a.do(func(w http.ResponseWriter, _ *http.Request) error {
		d, err := described()
		if err != nil {
			return err
		}
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'; default-src 'none'; style-src '"+d.styleHash+"'; base-uri 'none'; form-action 'none'")
		return writeDoc(w, "text/html; charset=utf-8", d.page)
	}))
}

func writeDoc(w http.ResponseWriter, kind string, text []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text) // the client is gone; nobody is left to tell
	return nil
}

// docs is the description as it is served.
type docs struct {
	document, page []byte
	styleHash      string // of the page's style, for its Content-Security-Policy
}

var (
	//go:embed docs/page.html
	docsPage string
	//go:embed docs/style.css
	docsStyle string
)

func (a *API) renderDocs() (docs, error) {
	doc, _, err := a.Describe()
	if err != nil {
		return docs{}, err
	}
	var d docs
	if d.document, err = json.Marshal(doc); err != nil {
		return docs{}, err
	}
	page, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return docs{}, err
	}
	var view docsView
	if err := json.Unmarshal(d.document, &view); err != nil {
		return docs{}, err
	}
	view.Root = strings.TrimSuffix(a.urls.API(), "/")
	view.Style = template.CSS(docsStyle) //nolint:gosec // G203: our own file, with nothing of anybody else's in it
	view.arrange()
	var out bytes.Buffer
	if err := page.Execute(&out, view); err != nil {
		return docs{}, err
	}
	d.page = out.Bytes()
	sum := sha256.Sum256([]byte(docsStyle))
	d.styleHash = "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	return d, nil
}

// docsView is what the page shows of a document.
type docsView struct {
	Root  string       `json:"-"`
	Style template.CSS `json:"-"`
	Tags  []docsTag    `json:"-"`
	Info  struct {
		Title, Summary, Description string
	}
	Paths      map[string]map[string]docsOperation
	Components struct {
		Parameters map[string]docsParameter
		Schemas    map[string]docsSchema
	}
}

// docsTag is one resource.
type docsTag struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	Method, Path         string `json:"-"`
	OperationID          string
	Summary, Description string
	Tags                 []string
	Ours                 bool     `json:"x-nomadhub"`
	Scopes               []string `json:"x-scopes"`
	About                string   `json:"x-about"`
	Parameters           []docsParameter
	RequestBody          struct {
		Required bool
		Content  map[string]docsMedia
	}
	Responses map[string]docsResponse
}

type docsParameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Schema                docsSchema
}

type docsResponse struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]docsMedia
}

type docsMedia struct{ Schema docsSchema }

type docsSchema struct {
	Ref         string `json:"$ref"`
	Type        any
	Description string
	Enum        []any
	Items       *docsSchema
	Ours        bool `json:"x-nomadhub"`
	Properties  map[string]docsSchema
	OneOf       []docsSchema
	AnyOf       []docsSchema
}

// Name is what a schema is called that is described on its own; "" for others.
func (s docsSchema) Name() string { return strings.TrimPrefix(s.Ref, "#/components/schemas/") }

// Kinds are a schema's types.
func (s docsSchema) Kinds() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		var all []string
		for _, kind := range t {
			if text, ok := kind.(string); ok {
				all = append(all, text)
			}
		}
		return strings.Join(all, " or ")
	}
	return ""
}

// Fallible tells that a response is one that many operations have in common.
func (r docsResponse) Fallible() bool { return r.Ref != "" }

// arrange sorts the operations by resource and path, and puts parameters where they are used.
func (v *docsView) arrange() {
	byTag := map[string][]docsOperation{}
	for _, path := range slices.Sorted(maps.Keys(v.Paths)) {
		for _, method := range []string{"get", "head", "post", "put", "patch", "delete"} {
			op, ok := v.Paths[path][method]
			if !ok {
				continue
			}
			op.Method, op.Path = strings.ToUpper(method), path
			for i, p := range op.Parameters {
				if name, shared := strings.CutPrefix(p.Ref, "#/components/parameters/"); shared {
					op.Parameters[i] = v.Components.Parameters[name]
				}
			}
			for _, tag := range op.Tags {
				byTag[tag] = append(byTag[tag], op)
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		v.Tags = append(v.Tags, docsTag{tag, byTag[tag]})
	}
}
