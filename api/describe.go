package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// openapi holds the description of the API, a file per resource. common.yaml says how they are written.
//
//go:embed openapi/*.yaml
var openapi embed.FS

// object is a part of a description.
type object = map[string]any

// Describe puts the description together from its files and from the routes as they are mounted, and returns it as an OpenAPI 3.1 document. What a file and
// the router do not agree on, and what is missing, is told as sentences that say what to do; a document with problems is still the best one there is.
func (a *API) Describe() (document map[string]any, problems []string, err error) {
	routes, err := a.Routes()
	if err != nil {
		return nil, nil, err
	}
	d := describer{routes: map[string]Route{}, seen: map[string]bool{}}
	for _, r := range routes {
		d.routes[operationKey(r.Method, templateOf(r.Path))] = r
	}
	if d.doc, err = d.load(openapi); err != nil {
		return nil, nil, err
	}
	d.doc["servers"] = []any{object{"url": strings.TrimSuffix(a.urls.API(), "/")}}
	d.repeat()
	for _, p := range slices.Sorted(maps.Keys(within(d.doc, "paths"))) {
		d.pathItem(p, within(d.doc, "paths", p))
	}
	d.undescribed()
	slices.Sort(d.problems)
	return d.doc, d.problems, nil
}

// describer fills in what the files leave to it.
type describer struct {
	doc      object
	routes   map[string]Route // by operationKey
	seen     map[string]bool  // the same keys: what was described
	problems []string
}

func (d *describer) complain(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

func operationKey(method, path string) string { return strings.ToUpper(method) + " " + path }

// constraint is what a route may say beside a parameter's name, which a description cannot.
var constraint = regexp.MustCompile(`\{([^:}]+):[^}]*\}`)

func templateOf(path string) string { return constraint.ReplaceAllString(path, "{$1}") }

// elsewhere tells that a path is served by another package, which checks its own.
func elsewhere(path string) bool { return strings.HasPrefix(path, "/oauth2/") }

// load reads and joins the files. Each may add paths, methods, tags and components; none may say anew what another says.
func (d *describer) load(files fs.FS) (object, error) {
	names, err := fs.Glob(files, "openapi/*.yaml")
	if err != nil {
		return nil, err
	}
	doc := object{}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		var part any
		if err := yaml.Unmarshal(text, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		o, ok := plain(part).(object)
		if !ok {
			return nil, fmt.Errorf("%s is not a mapping", name)
		}
		d.tag(o, strings.TrimSuffix(path.Base(name), ".yaml"))
		if err := join(doc, o, name); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// plain gives mappings text for keys, which statuses lack in YAML.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plain(x)
		}
		return v
	case map[any]any:
		o := object{}
		for k, x := range v {
			o[fmt.Sprint(k)] = plain(x)
		}
		return o
	case []any:
		for i, x := range v {
			v[i] = plain(x)
		}
	}
	return v
}

// tag files the operations of a file under its name.
func (d *describer) tag(part object, name string) {
	for _, item := range within(part, "paths") {
		for method, op := range operations(item) {
			if op["tags"] == nil {
				op["tags"] = []any{name}
			}
			_ = method
		}
	}
}

// operations are the methods of a path.
func operations(item any) map[string]object {
	ops := map[string]object{}
	o, _ := item.(object)
	for _, method := range []string{"get", "head", "post", "put", "patch", "delete"} {
		if op, ok := o[method].(object); ok {
			ops[method] = op
		}
	}
	return ops
}

func join(into, from object, name string) error {
	for k, v := range from {
		old, taken := into[k]
		if !taken {
			into[k] = v
			continue
		}
		a, isObject := old.(object)
		b, both := v.(object)
		list, isList := old.([]any)
		more, lists := v.([]any)
		switch {
		case isObject && both:
			if err := join(a, b, name); err != nil {
				return err
			}
		case isList && lists:
			into[k] = append(list, more...)
		default:
			return fmt.Errorf("%s says %q, which another file says already", name, k)
		}
	}
	return nil
}

// within returns the part of a document at the keys, empty if it is not there.
func within(o object, keys ...string) object {
	for _, k := range keys {
		next, ok := o[k].(object)
		if !ok {
			return object{}
		}
		o = next
	}
	return o
}

// clone copies a part, so that both can be changed.
func clone(o object) object {
	var c object
	text, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil { // it came from YAML, and was made plain
		panic(err)
	}
	return c
}

// repeat describes again, under other paths, what is described once: x-also lists them.
func (d *describer) repeat() {
	paths := within(d.doc, "paths")
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		item, _ := paths[p].(object)
		also, _ := item["x-also"].([]any)
		delete(item, "x-also")
		for _, other := range also {
			same := clone(item)
			if there, ok := paths[fmt.Sprint(other)].(object); ok {
				if err := join(there, same, p); err != nil {
					d.complain("%s: x-also of %s: %v.", other, p, err)
				}
				continue
			}
			paths[fmt.Sprint(other)] = same
		}
	}
}

// undescribed complains of routes that no file describes.
func (d *describer) undescribed() {
	for key, r := range d.routes {
		if d.seen[key] {
			continue
		}
		resource, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
		d.complain("%s is not described. Add it to api/openapi/%s.yaml (or where its resource is): under paths, %s, %s: a summary, its parameters, body and responses, as api/openapi/common.yaml explains. Its scopes come from the route.",
			key, resource, templateOf(r.Path), strings.ToLower(r.Method))
	}
}
