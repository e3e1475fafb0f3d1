package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// verb is one thing that a command does by the REST API of a hub that runs: "list" in "nomadhub user list".
type verb struct {
	name      string
	arguments string // as they are shown: "USER [SERVER]"
	min, max  int    // how many there may be; max 0: none, below 0: any number
	summary   string
	// prepare adds the verb's own options, and returns what it does.
	prepare func(fs *flag.FlagSet) action
}

// action does what a verb is for.
type action func(ctx context.Context, r *remote, args []string) error

// plain is for verbs without options of their own.
func plain(do action) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action { return do }
}

// remote is a hub that is spoken to, and where to tell what it says.
type remote struct {
	*restclient.Client

	out, err io.Writer
	json     bool
}

// usageError is a command line that cannot be right.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode is what a program tells its shell: 0 done, 2 the command line was wrong, 1 anything else.
func exitCode(err error) int {
	_, wrong := errors.AsType[usageError](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case wrong:
		return 2
	}
	return 1
}

// byVerbs makes a command of verbs.
func byVerbs(name string, verbs func() []verb) func(context.Context, []string, streams) error {
	return func(ctx context.Context, args []string, std streams) error {
		if len(args) == 0 {
			verbUsage(name, verbs(), std.err)
			return misused("say what to do: nomadhub %s %s", name, verbs()[0].name)
		}
		for _, v := range verbs() {
			if v.name == args[0] {
				return runVerb(ctx, name, v, args[1:], std)
			}
		}
		verbUsage(name, verbs(), std.err)
		switch args[0] {
		case "-h", "-help", "--help", "help":
			return flag.ErrHelp
		}
		return misused("nomadhub %s cannot %q", name, args[0])
	}
}

func verbUsage(name string, verbs []verb, w io.Writer) {
	fmt.Fprintf(w, "Usage of nomadhub %s:\n", name)
	for _, v := range verbs {
		fmt.Fprintf(w, "  %-44s %s\n", strings.TrimSpace(v.name+" "+v.arguments), v.summary)
	}
	fmt.Fprintf(w, "nomadhub %s %s -h tells the options. The hub is at $JUPYTERHUB_API_URL, and $JUPYTERHUB_API_TOKEN lets in; see -url and -token-file.\n", name, verbs[0].name)
}

// remoteFlags are the options of every verb.
type remoteFlags struct {
	url, tokenFile string
	json           bool
}

func addRemoteFlags(fs *flag.FlagSet) *remoteFlags {
	var f remoteFlags
	fs.StringVar(&f.url, "url", "", "the hub's address, such as https://hub.example.org/hub/api; default: $JUPYTERHUB_API_URL")
	fs.StringVar(&f.tokenFile, "token-file", "", "a file with an API token; default: the token in $JUPYTERHUB_API_TOKEN")
	fs.BoolVar(&f.json, "json", false, "print what the hub answers, as JSON")
	return &f
}

// runVerb reads options and arguments, which may be mixed, and does what they say.
func runVerb(ctx context.Context, name string, v verb, args []string, std streams) error {
	fs := newFlags(strings.TrimSpace(name+" "+v.name+" "+v.arguments), std)
	common := addRemoteFlags(fs)
	do := v.prepare(fs)
	given, err := mixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return usageError{err}
	case len(given) < v.min, v.max >= 0 && len(given) > v.max:
		return misused("the command is nomadhub %s %s [options]", name, strings.TrimSpace(v.name+" "+v.arguments))
	}
	if slices.Contains(given, "") {
		return misused("a name is empty; is a variable not set?")
	}
	client, err := dial(common.url, common.tokenFile, std.environ)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(ctx, &remote{Client: client, out: std.out, err: std.err, json: common.json}, given)
}

// mixed parses options wherever they stand, and returns what is none. After "--" nothing is an option.
func mixed(fs *flag.FlagSet, args []string) (given []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		rest := fs.Args()
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" {
			return append(given, rest...), nil
		}
		if len(rest) == 0 {
			return given, nil
		}
		given, args = append(given, rest[0]), rest[1:]
	}
}

// dial finds out where the hub is and who speaks. A token never stands on the command line, which every user of the machine can read.
func dial(address, tokenFile string, environ []string) (*restclient.Client, error) {
	if address = cmp.Or(address, lookup(environ, "JUPYTERHUB_API_URL")); address == "" {
		return nil, misused("say where the hub is: set JUPYTERHUB_API_URL, or give -url https://hub.example.org/hub/api")
	}
	token := lookup(environ, "JUPYTERHUB_API_TOKEN")
	if tokenFile != "" {
		text, err := os.ReadFile(tokenFile)
		if err != nil {
			return nil, usageError{err}
		}
		if token = strings.TrimSpace(string(text)); token == "" {
			return nil, misused("the file %s holds no token", tokenFile)
		}
	}
	if strings.TrimSpace(token) == "" {
		return nil, misused("say who you are: set JUPYTERHUB_API_TOKEN, or give -token-file FILE. Tokens are made on the hub's page Tokens, or by nomadhub token -user NAME beside its database")
	}
	client, err := restclient.New(address, token)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// get reads one thing into out, and returns it as the hub tells it.
func (r *remote) get(ctx context.Context, path string, out any) (json.RawMessage, error) {
	return r.call(ctx, http.MethodGet, path, nil, out)
}

// call makes a request, and stores what comes back in out, if that is not nil.
func (r *remote) call(ctx context.Context, method, path string, body, out any) (json.RawMessage, error) {
	var raw json.RawMessage
	if _, err := r.Do(ctx, method, path, body, &raw); err != nil {
		return nil, err
	}
	if out == nil || len(raw) == 0 {
		return raw, nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("the hub's answer cannot be read: %w", err)
	}
	return raw, nil
}

// list reads a whole list, and each entry as a T.
func list[T any](ctx context.Context, r *remote, path string, query url.Values) (raw []json.RawMessage, items []T, err error) {
	raw = []json.RawMessage{}
	for entry, err := range r.List(ctx, path, query) {
		if err != nil {
			return nil, nil, err
		}
		var item T
		if err := json.Unmarshal(entry, &item); err != nil {
			return nil, nil, fmt.Errorf("the hub's answer cannot be read: %w", err)
		}
		raw, items = append(raw, entry), append(items, item)
	}
	return raw, items, nil
}

// printJSON writes what a hub answered, for eyes and programs.
func (r *remote) printJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	_, err = pretty.WriteTo(r.out)
	return err
}

// done says that something was done: with -json as the hub's answer, if it has one, else in words.
func (r *remote) done(raw json.RawMessage, format string, args ...any) error {
	if r.json {
		if len(raw) == 0 {
			return nil
		}
		return r.printJSON(raw)
	}
	_, err := fmt.Fprintln(r.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// textOrFile is an option's value, or with @ before it what is in the file of that name.
func textOrFile(value string) ([]byte, error) {
	name, file := strings.CutPrefix(value, "@")
	if !file {
		return []byte(value), nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError{err}
	}
	return text, nil
}

// object reads an option whose value is a JSON object, or @ and the name of a file with one.
func object(option, value string) (json.RawMessage, error) {
	text, err := textOrFile(value)
	if err != nil {
		return nil, err
	}
	if text = bytes.TrimSpace(text); !json.Valid(text) || text[0] != '{' {
		return nil, misused("%s takes a JSON object, such as '{\"a\": 1}', or @FILE", option)
	}
	return text, nil
}

// words is an option that may be given more than once, with one word or several with commas between them.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(v string) error {
	for word := range strings.SplitSeq(v, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*w = append(*w, word)
		}
	}
	return nil
}

// orJSON ends a command that failed, or whose answer is wanted as it is.
func (r *remote) orJSON(raw any, err error) error {
	if err != nil {
		return err
	}
	return r.printJSON(raw)
}

// about says of which of several things an error is.
func about(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }
