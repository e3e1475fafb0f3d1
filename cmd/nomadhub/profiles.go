package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/profile"
)

// decodeProfiles reads the profiles of a configuration, and the jobspecs that they begin with, by the names under which jobs know them.
func decodeProfiles(cfg config.Config, environ []string) (*profile.Set, map[string]string, error) {
	var blocks []profile.Block
	var defaults []hcl.Body
	for _, p := range cfg.Profiles {
		blocks = append(blocks, profile.Block{Name: p.Name, Body: p.Body})
	}
	for _, d := range cfg.ProfileDefaults {
		defaults = append(defaults, d.Body)
	}
	set, err := profile.Decode(blocks, defaults, config.LoadContext(environ))
	if err != nil {
		return nil, nil, err
	}
	jobspecs := map[string]string{}
	for name, file := range set.Templates() {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("the jobspec of a profile cannot be read: %w", err)
		}
		jobspecs[name] = string(text)
	}
	return set, jobspecs, nil
}
