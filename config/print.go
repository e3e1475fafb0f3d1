package config

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"
)

// Print writes the configuration as a file that Load would read, every option with its sentence. Passwords are hidden.
func Print(w io.Writer, c Config) {
	printStruct(w, "", reflect.ValueOf(c))
	for _, a := range c.Authenticators {
		fmt.Fprintf(w, "\n# One way to log in; see `nomadhub config authenticators`.\nauthenticator %q %q {}\n", a.Type, a.ID)
	}
}

// Reference writes every option with its sentence and its default, absent blocks included, as a file in which all is commented out that is not in force.
func Reference(w io.Writer, c Config) {
	full := c
	full.Nomad, full.Consul = &Nomad{}, &Consul{}
	secrets := *c.Secrets
	secrets.Vault = &Vault{}
	full.Secrets = &secrets
	full.fill()
	Print(w, full)
}

// PrintOptions writes the options of one authenticator's block.
func PrintOptions(w io.Writer, kind, id string, defaults any) {
	fmt.Fprintf(w, "authenticator %q %q {\n", kind, id)
	v := reflect.ValueOf(defaults)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	printStruct(w, "  ", v)
	fmt.Fprintln(w, "}")
}

func printStruct(w io.Writer, indent string, v reflect.Value) {
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		name, kind := tag(field)
		switch kind {
		case "optional", "":
			if name == "" {
				continue
			}
			fmt.Fprintf(w, "%s# %s\n%s%s = %s\n", indent, field.Tag.Get("doc"), indent, name, literal(name, f))
		case "block":
			if f.Kind() != reflect.Pointer || f.IsNil() {
				continue
			}
			fmt.Fprintf(w, "\n%s# %s\n%s%s {\n", indent, field.Tag.Get("doc"), indent, name)
			printStruct(w, indent+"  ", f.Elem())
			fmt.Fprintf(w, "%s}\n", indent)
		}
	}
}

func literal(name string, v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		text := v.String()
		if name == "dsn" {
			text = hidePassword(text)
		}
		return quote(text)
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = quote(v.Index(i).String())
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		var items []string
		for _, k := range v.MapKeys() {
			items = append(items, quote(k.String())+" = "+quote(v.MapIndex(k).String()))
		}
		return "{ " + strings.Join(items, ", ") + " }"
	}
	return fmt.Sprint(v.Interface())
}

// quote writes a string as HCL would read it back, without templates coming to life.
func quote(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(fmt.Sprintf("%q", s))
}

func hidePassword(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "(hidden)"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "hidden")
	}
	return u.String()
}
