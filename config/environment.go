package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// options returns every scalar and list option of the blocks that are there, by the name of the environment variable that sets it: NOMADHUB_BLOCK_OPTION.
func (c *Config) options() map[string]reflect.Value {
	found := map[string]reflect.Value{}
	collect("NOMADHUB", reflect.ValueOf(c).Elem(), found)
	return found
}

func collect(prefix string, v reflect.Value, found map[string]reflect.Value) {
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		name, kind := tag(field)
		switch {
		case kind == "block" && f.Kind() == reflect.Pointer && !f.IsNil():
			collect(prefix+"_"+strings.ToUpper(name), f.Elem(), found)
		case kind == "optional":
			found[prefix+"_"+strings.ToUpper(name)] = f
		}
	}
}

func tag(f reflect.StructField) (name, kind string) {
	name, kind, _ = strings.Cut(f.Tag.Get("hcl"), ",")
	return name, kind
}

// applyEnvironment sets options from variables. A variable with the prefix that names no option is left alone: others may use the prefix. One that
// sets an option of a block which no file has is refused, since whoever set it believes that it does something.
func (c *Config) applyEnvironment(env map[string]string) error {
	var errs []error
	options := c.options()
	for name, option := range options {
		if text, set := env[name]; set {
			if err := assign(option, text); err != nil {
				errs = append(errs, fmt.Errorf("the environment variable %s: %w", name, err))
			}
		}
	}
	all := Config{Secrets: &Secrets{Vault: &Vault{}}, Nomad: &Nomad{}, Consul: &Consul{}}
	for name := range all.options() {
		if _, set := env[name]; set && !options[name].IsValid() {
			errs = append(errs, fmt.Errorf("the environment variable %s sets an option of a block that no configuration file has; add the block, which may be empty", name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func assign(option reflect.Value, text string) error {
	switch option.Kind() {
	case reflect.String:
		option.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		option.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		option.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		option.SetFloat(n)
	case reflect.Slice:
		return assignList(option, text)
	default:
		return errors.New("this option can only be set in a file")
	}
	return nil
}

// assignList sets a list of words or numbers from a text with commas between them.
func assignList(option reflect.Value, text string) error {
	list := reflect.MakeSlice(option.Type(), 0, 0)
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		v := reflect.New(option.Type().Elem()).Elem()
		if err := assign(v, item); err != nil {
			return err
		}
		list = reflect.Append(list, v)
	}
	option.Set(list)
	return nil
}
