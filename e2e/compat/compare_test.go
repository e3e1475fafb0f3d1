package compat

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// deviation is one thing in which the answers to a pair differ.
type deviation struct {
	pair string
	// where is "status", "header NAME", or a path into the body: "body.items[].name".
	where       string
	stock, ours string
	// said is what the two said with different statuses, for who reads the report.
	said string
}

// absent is what a hub says that does not say a thing.
const absent = "absent"

// compare lists what differs. If the status does, nothing else is looked at.
func compare(p pair, stock, ours *hub, a, b answer) []deviation {
	if a.status != b.status {
		return []deviation{{
			pair: p.String(), where: "status", stock: strconv.Itoa(a.status), ours: strconv.Itoa(b.status),
			said: said(a) + " | " + said(b),
		}}
	}
	d := differ{pair: p.String()}
	x, y := stock.headers(a), ours.headers(b)
	for _, name := range union(x, y) {
		d.text("header "+name, x[name], y[name])
	}
	x, y = cookies(a), cookies(b)
	for _, name := range union(x, y) {
		d.text("cookie "+name, x[name], y[name])
	}
	d.value("body", stock.content(a), ours.content(b))
	return d.found
}

func said(a answer) string { return clip(a.header.Get("Location") + string(a.body)) }

type differ struct {
	pair  string
	found []deviation
}

func (d *differ) text(where, stock, ours string) {
	if stock == "" {
		stock = absent
	}
	if ours == "" {
		ours = absent
	}
	if stock != ours {
		d.found = append(d.found, deviation{pair: d.pair, where: where, stock: stock, ours: ours})
	}
}

func (d *differ) value(where string, stock, ours any) {
	switch x := stock.(type) {
	case map[string]any:
		if y, ok := ours.(map[string]any); ok {
			d.object(where, x, y)
			return
		}
	case []any:
		if y, ok := ours.([]any); ok {
			d.list(where, x, y)
			return
		}
	}
	d.text(where, show(stock), show(ours))
}

func (d *differ) object(where string, stock, ours map[string]any) {
	for _, key := range union(stock, ours) {
		x, inStock := stock[key]
		y, inOurs := ours[key]
		at := where + "." + key
		switch {
		case !inStock:
			d.text(at, absent, show(y))
		case !inOurs:
			d.text(at, show(x), absent)
		default:
			d.value(at, x, y)
		}
	}
}

// list compares lists of names as sets, since JupyterHub's have no order, and lists of objects one by one.
func (d *differ) list(where string, stock, ours []any) {
	where += "[]"
	if words(stock) && words(ours) {
		for _, v := range stock {
			if !slices.Contains(ours, v) {
				d.text(where, show(v), absent)
			}
		}
		for _, v := range ours {
			if !slices.Contains(stock, v) {
				d.text(where, absent, show(v))
			}
		}
		return
	}
	if names, others := named(stock), named(ours); !slices.Equal(names, others) && len(names) == len(stock) && len(others) == len(ours) {
		d.text(where, clip(strings.Join(names, ", ")), clip(strings.Join(others, ", ")))
		return
	}
	for i := range max(len(stock), len(ours)) {
		switch {
		case i >= len(stock):
			d.text(where, absent, show(ours[i]))
		case i >= len(ours):
			d.text(where, show(stock[i]), absent)
		default:
			d.value(where, stock[i], ours[i])
		}
	}
}

// named are the names of the objects of a list, in their order.
func named(list []any) []string {
	names := []string{}
	for _, v := range list {
		if o, ok := v.(map[string]any); ok {
			if name, ok := o["name"].(string); ok {
				names = append(names, name)
			} else if note, ok := o["note"].(string); ok { // a token's
				names = append(names, note)
			}
		}
	}
	return names
}

func words(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(string); return !ok })
}

// show is a value as JSON, cut where it gets long.
func show(v any) string {
	if s, ok := v.(string); ok && s != "" {
		return clip(s)
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err.Error()
	}
	return clip(strings.TrimSpace(text.String()))
}

func clip(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func union[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
