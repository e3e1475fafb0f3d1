package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Differences names what differs between two configurations, sorted: listen.public, authenticator.github, profile.small. A block that only one of them has
// is named as a whole.
func Differences(a, b Config) []string {
	found := map[string]bool{}
	compare("", reflect.ValueOf(a), reflect.ValueOf(b), found)
	blocks := func(kind string, a, b map[string]string) {
		for name := range keys(a, b) {
			if before, had := a[name]; !had || before != b[name] || !has(b, name) {
				found[kind+name] = true
			}
		}
	}
	blocks("authenticator.", texts(a.Authenticators), texts(b.Authenticators))
	blocks("profile.", profileTexts(a.Profiles), profileTexts(b.Profiles))
	if !slices.EqualFunc(a.Profiles, b.Profiles, func(x, y Profile) bool { return x.Name == y.Name }) {
		found["profile"] = true // their order
	}
	blocks("role.", sayings(a.Roles, func(r Role) string { return r.Name }), sayings(b.Roles, func(r Role) string { return r.Name }))
	blocks("scope.", sayings(a.Scopes, func(s Scope) string { return s.Name }), sayings(b.Scopes, func(s Scope) string { return s.Name }))
	serviceDifferences(a.Services, b.Services, found)
	if !slices.EqualFunc(a.ProfileDefaults, b.ProfileDefaults, func(x, y ProfileDefaults) bool { return x.Text == y.Text }) {
		found["profile_defaults"] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func compare(prefix string, a, b reflect.Value, found map[string]bool) {
	for i := range a.NumField() {
		name, kind := tag(a.Type().Field(i))
		x, y := a.Field(i), b.Field(i)
		switch {
		case kind == "block" && x.Kind() == reflect.Pointer && (x.IsNil() || y.IsNil()):
			if x.IsNil() != y.IsNil() {
				found[prefix+name] = true
			}
		case kind == "block" && x.Kind() == reflect.Pointer:
			compare(prefix+name+".", x.Elem(), y.Elem(), found)
		case (kind == "optional" || labelled(x.Type()) && !placed(x.Type())) && !reflect.DeepEqual(x.Interface(), y.Interface()):
			found[prefix+name] = true
		}
	}
}

func texts(all []Authenticator) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		m[a.ID] = a.Text
	}
	return m
}

// sayings are blocks by their names, as texts that tell what they say.
func sayings[T any](all []T, name func(T) string) map[string]string {
	m := map[string]string{}
	for _, one := range all {
		b := describe("", "", reflect.ValueOf(one))
		m[name(one)] = fmt.Sprint(b.Options)
	}
	return m
}

func profileTexts(all []Profile) map[string]string {
	m := map[string]string{}
	for _, p := range all {
		m[p.Name] = p.Text
	}
	return m
}

func keys(a, b map[string]string) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

func has(m map[string]string, name string) bool {
	_, ok := m[name]
	return ok
}
