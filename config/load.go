package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Load reads defaults, then every file in order (of a directory its *.hcl by name), then the environment. A later file wins, and leaves alone what it does not
// mention. It does not call Validate.
func Load(base Config, paths []string, environ []string) (Config, error) {
	files, err := expand(paths)
	if err != nil {
		return Config{}, err
	}
	env := environment(environ)
	parser := hclparse.NewParser()
	c := base
	for _, name := range files {
		if err := c.decode(parser, name, env); err != nil {
			return Config{}, err
		}
	}
	if err := c.applyEnvironment(env); err != nil {
		return Config{}, err
	}
	c.fill()
	return c, nil
}

func (c *Config) fill() {
	if c.Secrets.Vault != nil {
		c.Secrets.Vault.fill()
	}
	if c.Nomad != nil {
		c.Nomad.fill()
	}
	if c.Consul != nil {
		c.Consul.fill()
	}
}

func expand(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("the configuration %s cannot be read: %w", p, err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		matches, err := fs.Glob(os.DirFS(p), "*.hcl")
		if err != nil {
			return nil, err
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("the directory %s holds no *.hcl file", p)
		}
		slices.Sort(matches)
		for _, m := range matches {
			files = append(files, filepath.Join(p, m))
		}
	}
	return files, nil
}

func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return env
}

func (c *Config) decode(parser *hclparse.Parser, name string, env map[string]string) error {
	file, diags := parser.ParseHCLFile(name)
	if diags.HasErrors() {
		return sentence(diags)
	}
	before, profiles, defaults := c.Authenticators, c.Profiles, c.ProfileDefaults
	c.Authenticators, c.Profiles, c.ProfileDefaults = nil, nil, nil
	groups, blocks := c.takeGroups(), c.takeNamed()
	roles, scopes := c.takeRoles()
	services := c.takeServices()
	if diags := gohcl.DecodeBody(file.Body, Context(env), c); diags.HasErrors() {
		return sentence(diags)
	}
	if err := errors.Join(c.mergeGroups(name, groups), c.mergeNamed(name, blocks), c.mergeRoles(name, roles, scopes), c.mergeServices(name, services)); err != nil {
		return err
	}
	if err := distinct(name, c.Authenticators); err != nil {
		return err
	}
	for _, a := range c.Authenticators {
		before = slices.DeleteFunc(before, func(old Authenticator) bool { return old.ID == a.ID })
		a.Text = blockText(file, fmt.Sprintf("authenticator %s %s", quote(a.Type), quote(a.ID)), a.Body)
		before = append(before, a)
	}
	c.Authenticators = before
	return c.mergeProfiles(file, profiles, defaults)
}

// mergeProfiles puts the profiles of one file after those of the files before. One of the same name takes the place of the earlier.
func (c *Config) mergeProfiles(file *hcl.File, before []Profile, defaults []ProfileDefaults) error {
	if err := oncePerFile(c.Profiles, c.ProfileDefaults); err != nil {
		return err
	}
	for _, p := range c.Profiles {
		p.Text = blockText(file, "profile "+quote(p.Name), p.Body)
		if i := slices.IndexFunc(before, func(old Profile) bool { return old.Name == p.Name }); i >= 0 {
			before = slices.Clone(before)
			before[i] = p
		} else {
			before = append(slices.Clip(before), p)
		}
	}
	for _, d := range c.ProfileDefaults {
		d.Text = blockText(file, "profile_defaults", d.Body)
		defaults = append(slices.Clip(defaults), d)
	}
	c.Profiles, c.ProfileDefaults = before, defaults
	return nil
}

func oncePerFile(profiles []Profile, defaults []ProfileDefaults) error {
	seen := map[string]bool{}
	for _, p := range profiles {
		if seen[p.Name] {
			at := p.Body.MissingItemRange()
			return fmt.Errorf("%s, line %d: two profiles have the name %q; give each its own", at.Filename, at.Start.Line, p.Name)
		}
		seen[p.Name] = true
	}
	if len(defaults) > 1 {
		at := defaults[1].Body.MissingItemRange()
		return fmt.Errorf("%s, line %d: there are two blocks profile_defaults in this file; write their content into one", at.Filename, at.Start.Line)
	}
	return nil
}

// blockText is a block as its file has it, so that expressions are shown as they were written, and what they read from elsewhere is not shown.
func blockText(file *hcl.File, title string, body hcl.Body) string {
	if b, ok := body.(*hclsyntax.Body); ok && b.SrcRange.CanSliceBytes(file.Bytes) {
		return title + " " + strings.TrimSpace(string(b.SrcRange.SliceBytes(file.Bytes)))
	}
	return title + " {}"
}

// distinct refuses two authenticators with one ID in one file. In a later file, the same ID replaces the earlier one: that is how a file overrides.
func distinct(name string, all []Authenticator) error {
	seen := map[string]bool{}
	for _, a := range all {
		if seen[a.ID] {
			return fmt.Errorf("%s: two authenticators have the ID %q; give each its own", name, a.ID)
		}
		seen[a.ID] = true
	}
	return nil
}

// sentence makes one error of what the parser found, each with file, line and what to do.
func sentence(diags hcl.Diagnostics) error {
	var errs []error
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			where := ""
			if d.Subject != nil {
				where = fmt.Sprintf("%s, line %d: ", d.Subject.Filename, d.Subject.Start.Line)
			}
			errs = append(errs, fmt.Errorf("%s%s. %s", where, d.Summary, d.Detail))
		}
	}
	return errors.Join(errs...)
}

// Context is what expressions in a configuration may use: env("NAME") and file("path").
func Context(env map[string]string) *hcl.EvalContext {
	str := function.StaticReturnType(cty.String)
	param := []function.Parameter{{Name: "name", Type: cty.String}}
	return &hcl.EvalContext{Functions: map[string]function.Function{
		"env": function.New(&function.Spec{Params: param, Type: str, Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, ok := env[args[0].AsString()]
			if !ok {
				return cty.UnknownVal(cty.String), fmt.Errorf("the environment variable %s is not set", args[0].AsString())
			}
			return cty.StringVal(v), nil
		}}),
		"file": function.New(&function.Spec{Params: param, Type: str, Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			b, err := os.ReadFile(args[0].AsString())
			if err != nil {
				return cty.UnknownVal(cty.String), fmt.Errorf("the file cannot be read: %w", err)
			}
			return cty.StringVal(strings.TrimRight(string(b), "\r\n")), nil
		}}),
	}}
}

// LoadContext is [Context] with the variables of an environment as os.Environ gives them.
func LoadContext(environ []string) *hcl.EvalContext { return Context(environment(environ)) }

// DecodeBody decodes an authenticator's block onto v, which holds the defaults.
func (a Authenticator) DecodeBody(v any, environ []string) error {
	if diags := gohcl.DecodeBody(a.Body, Context(environment(environ)), v); diags.HasErrors() {
		return sentence(diags)
	}
	return nil
}
