package api

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// pathParameter finds the parameters of a path.
var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

// pathItem fills in all operations of a path.
func (d *describer) pathItem(path string, item object) {
	ours := item["x-nomadhub"] == true
	shared, _ := item["parameters"].([]any)
	delete(item, "parameters")
	delete(item, "x-nomadhub")
	ops := operations(item)
	for _, method := range slices.Sorted(maps.Keys(ops)) {
		key := operationKey(method, path)
		route, routed := d.routes[key]
		if !routed && !elsewhere(path) {
			d.complain("%s is described and not served. Remove it from its file in api/openapi, or mount the route.", key)
		}
		d.seen[key] = true
		op := ops[method]
		if ours {
			op["x-nomadhub"] = true
		}
		d.operation(key, op, route, shared)
	}
}

// operation fills in one operation.
func (d *describer) operation(key string, op object, route Route, shared []any) {
	if summary, _ := op["summary"].(string); summary == "" {
		d.complain("%s has no summary. Say in a few words what it does.", key)
	}
	op["operationId"] = operationID(key)
	open := fmt.Sprint(op["security"]) == "[]"
	if open && len(route.Scopes) > 0 {
		d.complain("%s is described as open to everybody, and needs a scope. Remove security from its description.", key)
	}
	if len(route.Scopes) > 0 {
		op["x-scopes"], op["x-about"] = slices.Clone(route.Scopes), route.About
	}
	given, _ := op["parameters"].([]any)
	d.parameters(key, op, append(slices.Clone(shared), given...))
	d.body(op)
	responses := within(op, "responses")
	if op["responses"] = responses; len(responses) == 0 {
		d.complain("%s has no responses. Say what it answers when all goes well.", key)
	}
	for status, r := range responses {
		responses[status] = d.response(key, status, r)
	}
	if !elsewhere(strings.Fields(key)[1]) { // where errors are of other shapes
		d.failures(op, route, open)
	}
}

// operationID is unique, and stays as long as the path does.
func operationID(key string) string {
	words := strings.FieldsFunc(strings.ToLower(key), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	if strings.HasSuffix(key, "/") || strings.Contains(key, "//") { // the default server, under the empty name
		words = append(words, "unnamed")
	}
	return strings.Join(words, "-")
}

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

// component returns a reference to a part that is described once, and complains if it is not.
func (d *describer) component(key, kind, name string) object {
	if _, ok := within(d.doc, "components", kind)[name]; !ok {
		d.complain("%s speaks of %s, which is not in components.%s of any file in api/openapi. Add it there.", key, name, kind)
	}
	return ref(kind, name)
}

// parameters replaces names by references, and adds those of the path.
func (d *describer) parameters(key string, op object, given []any) {
	all, described := []any{}, map[string]bool{}
	for _, p := range given {
		if name, ok := p.(string); ok {
			described[name] = true
			all = append(all, d.component(key, "parameters", name))
			continue
		}
		if o, ok := p.(object); ok {
			described[fmt.Sprint(o["name"])] = true
		}
		all = append(all, p)
	}
	for _, m := range pathParameter.FindAllStringSubmatch(key, -1) {
		if !described[m[1]] {
			all = append(all, d.component(key, "parameters", m[1]))
		}
	}
	if delete(op, "parameters"); len(all) > 0 {
		op["parameters"] = all
	}
}

// body makes a request body of the name of its schema.
func (d *describer) body(op object) {
	name, ok := op["body"].(string)
	if !ok {
		return
	}
	delete(op, "body")
	required := strings.HasSuffix(name, "!")
	schema := ref("schemas", strings.TrimSuffix(name, "!"))
	op["requestBody"] = object{"required": required, "content": object{"application/json": object{"schema": schema}}}
}

// response makes an answer of what stands for it.
func (d *describer) response(key, status string, given any) any {
	o, whole := given.(object)
	if whole && (o["content"] != nil || o["$ref"] != nil) {
		return o
	}
	text := http.StatusText(number3(status))
	if t, ok := o["text"].(string); ok {
		text = t
	}
	schema := given
	if whole {
		schema = o["schema"]
	}
	answer := object{"description": text}
	switch s := schema.(type) {
	case nil:
	case string:
		if s != "empty" {
			answer["content"] = object{"application/json": object{"schema": d.component(key, "schemas", s)}}
		}
	case []any:
		if len(s) == 1 {
			items := d.component(key, "schemas", fmt.Sprint(s[0]))
			answer["content"] = object{"application/json": object{"schema": object{"type": "array", "items": items}}}
		}
	case object:
		answer["content"] = object{"application/json": object{"schema": s}}
	}
	if h, ok := o["headers"]; ok {
		answer["headers"] = h
	}
	return answer
}

func number3(status string) (n int) {
	_, _ = fmt.Sscan(status, &n)
	return n
}

// failures adds the ways in which requests of this kind fail wherever they are made, and those that the file names.
func (d *describer) failures(op object, route Route, open bool) {
	failing := map[int]bool{}
	list, _ := op["errors"].([]any)
	delete(op, "errors")
	for _, status := range list {
		failing[number3(fmt.Sprint(status))] = true
	}
	if !open {
		for _, status := range []int{http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
			failing[status] = true
		}
	}
	if route.About != "" && route.About != aboutAll.String() && route.About != aboutSome.String() {
		failing[http.StatusNotFound] = true
	}
	if op["requestBody"] != nil || d.hasQuery(op) {
		failing[http.StatusBadRequest] = true
	}
	responses := within(op, "responses")
	for status := range failing {
		code := fmt.Sprint(status)
		if responses[code] == nil {
			responses[code] = ref("responses", strings.ReplaceAll(http.StatusText(status), " ", ""))
		}
	}
}

func (d *describer) hasQuery(op object) bool {
	parameters, _ := op["parameters"].([]any)
	return slices.ContainsFunc(parameters, func(p any) bool {
		o, _ := p.(object)
		if name, referred := o["$ref"].(string); referred {
			o = within(d.doc, "components", "parameters", name[strings.LastIndex(name, "/")+1:])
		}
		return o["in"] == "query"
	})
}
