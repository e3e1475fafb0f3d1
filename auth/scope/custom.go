package scope

import (
	"maps"
	"slices"
	"strings"
)

const customPrefix = "custom:"

// withCustom returns the vocabulary with custom scopes. They include each other and nothing else, and nothing else includes them: who holds the
// whole of the hub holds, by that, nothing at a service.
func withCustom(custom []Custom) (*vocabulary, PolicyErrors) {
	if len(custom) == 0 {
		return builtIn, nil
	}
	var faults PolicyErrors
	all := maps.Clone(definitions)
	for _, c := range custom {
		_, twice := all[c.Name]
		switch {
		case !validCustomName(c.Name):
			faults = append(faults, PolicyError{"scope", c.Name, "a custom scope is named custom: and then lower-case letters, digits and _ - * :, " +
				"begins after custom: with a letter or digit, and does not end with - or :"})
		case twice:
			faults = append(faults, PolicyError{"scope", c.Name, "there are two scopes of this name; put what they include into one"})
		case c.Description == "":
			faults = append(faults, PolicyError{"scope", c.Name, "it needs a description: people are asked to grant it, and should know what it is for"})
		}
		all[c.Name] = definition{text: c.Description, includes: c.Includes}
	}
	for _, c := range custom {
		for _, sub := range c.Includes {
			if _, exists := all[sub]; !exists || !strings.HasPrefix(sub, customPrefix) {
				faults = append(faults, PolicyError{"scope", c.Name, "it includes " + sub + ", which is no custom scope"})
			}
		}
	}
	if len(faults) > 0 {
		return builtIn, faults
	}
	return newVocabulary(all), nil
}

func validCustomName(name string) bool {
	rest, ok := strings.CutPrefix(name, customPrefix)
	const ends = "abcdefghijklmnopqrstuvwxyz0123456789"
	return ok && rest != "" && len(name) <= 255 && allOf(rest, ends+"_-*:") &&
		strings.IndexByte(ends, rest[0]) >= 0 && !slices.Contains([]byte("-:"), rest[len(rest)-1])
}
