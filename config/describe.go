package config

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Block is a part of the configuration, told to people: its options with their values, and the blocks in it. Secrets are hidden.
type Block struct {
	Name    string   // "" for the whole configuration
	Labels  []string // of an authenticator
	Doc     string
	Off     bool // absent unless a file has it
	Options []Option
	Blocks  []Block
}

// Option is one option with its value.
type Option struct {
	Name     string
	Doc      string
	Value    string // as it stands in a file
	Env      string // the environment variable that sets it; "" if it can only be set in a file
	Required bool
}

// Describe tells what is in force.
func Describe(c Config) Block { return describe("", "NOMADHUB", reflect.ValueOf(c)) }

// DescribeAll tells every option there is: blocks that are absent by default are there as well, marked as off.
func DescribeAll(c Config) Block {
	full := c
	full.Nomad, full.Consul = &Nomad{}, &Consul{}
	secrets := *c.Secrets
	secrets.Vault = &Vault{}
	full.Secrets = &secrets
	limits := *c.Limits
	if len(limits.Groups) == 0 {
		limits.Groups = []GroupLimits{{Name: "students"}}
	}
	full.Limits = &limits
	culling, usage := *c.Culling, *c.Usage
	if len(culling.Rules) == 0 {
		culling.Rules = []CullRule{{Name: "nights", Groups: []string{"course"}, Days: []string{"sat", "sun"}, Hours: "00:00-06:00", IdleAfter: "15m"}}
	}
	if len(usage.Limits) == 0 {
		usage.Limits = []UsageLimit{{Name: "students"}}
	}
	full.Culling, full.Usage = &culling, &usage
	if len(c.Roles) == 0 {
		full.Roles = []Role{{Name: "instructor", Scopes: []string{"list:users!group=class", "servers!group=class"}, Groups: []string{"class-staff"}}}
	}
	if len(c.Scopes) == 0 {
		full.Scopes = []Scope{{Name: "custom:grader:read", Description: "Read the grades."}}
	}
	if len(c.Services) == 0 {
		full.Services = []Service{{Name: "announcements", URL: "http://10.0.0.5:9000"}}
	}
	full.fill()
	all := Describe(full)
	turnOff(all.Blocks, map[string]bool{"nomad": c.Nomad == nil, "consul": c.Consul == nil, "vault": c.Secrets.Vault == nil, "group": len(c.Limits.Groups) == 0,
		"rule": len(c.Culling.Rules) == 0, "limit": len(c.Usage.Limits) == 0,
		"role": len(c.Roles) == 0, "scope": len(c.Scopes) == 0,
		"service": len(c.Services) == 0,
	})
	return all
}

func turnOff(blocks []Block, off map[string]bool) {
	for i := range blocks {
		blocks[i].Off = off[blocks[i].Name]
		turnOff(blocks[i].Blocks, off)
	}
}

// DescribeAuthenticator tells the block of one authenticator, whose options are the struct that DecodeBody fills, or a pointer to one.
func DescribeAuthenticator(kind, id string, options any) Block {
	v := reflect.ValueOf(options)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	b := describe("authenticator", "", v)
	b.Labels = []string{kind, id}
	return b
}

func describe(name, env string, v reflect.Value) Block {
	b := Block{Name: name}
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		name, kind := tag(field)
		doc := field.Tag.Get("doc")
		variable := ""
		if env != "" {
			variable = env + "_" + strings.ToUpper(name)
		}
		switch {
		case kind == "block" && f.Kind() == reflect.Pointer && !f.IsNil():
			inner := describe(name, variable, f.Elem())
			inner.Doc = doc
			b.Blocks = append(b.Blocks, inner)
		case labelled(f.Type()):
			for j := range f.Len() {
				inner := describe(name, "", f.Index(j))
				inner.Doc, inner.Labels = doc, []string{f.Index(j).FieldByName("Name").String()}
				b.Blocks = append(b.Blocks, inner)
			}
		case kind == "optional", kind == "" && name != "":
			if f.Kind() == reflect.Map {
				variable = ""
			}
			b.Options = append(b.Options, Option{Name: name, Doc: doc, Value: literal(name, f), Env: variable, Required: kind == ""})
		}
	}
	return b
}

// labelled tells whether a field is a list of blocks with a name each, whose options are known here.
func labelled(t reflect.Type) bool {
	return placed(t) || t == reflect.TypeFor[[]GroupLimits]() || t == reflect.TypeFor[[]CullRule]() || t == reflect.TypeFor[[]UsageLimit]()
}

// placed tells whether these blocks know where they stand, which is no difference between two configurations.
func placed(t reflect.Type) bool {
	return t == reflect.TypeFor[[]Role]() || t == reflect.TypeFor[[]Scope]() || t == reflect.TypeFor[[]Service]()
}

// literal writes a value as it would stand in a file, unless it is secret.
func literal(name string, v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return quote(shown(name, v))
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal("", v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		return literalMap(v)
	case reflect.Pointer:
		if v.IsNil() {
			return "null"
		}
		return literal(name, v.Elem())
	default: // numbers and truth values
		return fmt.Sprint(v.Interface())
	}
}

func literalMap(v reflect.Value) string {
	values := map[string]string{}
	for _, k := range v.MapKeys() {
		values[k.String()] = v.MapIndex(k).String()
	}
	if len(values) == 0 {
		return "{}"
	}
	var items []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		value := values[k]
		if soundsSecret(k) && value != "" {
			value = redacted
		}
		items = append(items, quote(k)+" = "+quote(value))
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

const redacted = "(redacted)"

// shown is the text that people may see of an option. A type that hides itself, such as secret.Value, is taken at its word.
func shown(name string, v reflect.Value) string {
	text := v.String()
	if hides, ok := reflect.TypeAssert[fmt.Stringer](v); ok && text != "" {
		return hides.String()
	}
	if name == "dsn" {
		return hidePassword(text)
	}
	return text
}

// soundsSecret guesses from the name of a variable that its value is nobody's business.
func soundsSecret(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"SECRET", "TOKEN", "PASSW", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY", "ACCESS_KEY"},
		func(word string) bool { return strings.Contains(name, word) })
}

// quote writes a string as HCL reads it back, without templates coming to life. HCL's own writer brings much into the program that only it needs.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// hidePassword takes the passwords out of the address of a database: the one of the user, and those among the parameters.
func hidePassword(dsn string) string {
	if strings.HasPrefix(dsn, "sqlite:") {
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return redacted
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "redacted")
	}
	query := u.Query()
	for name := range query {
		if soundsSecret(name) {
			query.Set(name, "redacted")
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}
