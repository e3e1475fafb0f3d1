package hub

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of names, in bytes of UTF-8.
const (
	maxUserName   = 200
	maxServerName = 100
)

// NormalizeUserName gives the one form of a user name: Unicode NFC, lower case, without white space around it. Two people whose
// names look alike only because of another composition are one user.
func NormalizeUserName(name string) string {
	return norm.NFC.String(strings.ToLower(norm.NFC.String(strings.TrimSpace(name))))
}

// ValidateUserName tells what is wrong with a normalised user name, as an Invalid [Error], or returns nil.
//
// A name becomes a path segment, a header, an environment variable and a line in a log. So what browsers or servers rewrite in
// paths ("." and "..", slashes and backslashes), what cannot be seen (control and formatting characters, which include those that turn the
// direction of text) and what is not text is refused.
func ValidateUserName(name string) error {
	if err := validateName("user name", name, maxUserName); err != nil {
		return err
	}
	if name != NormalizeUserName(name) {
		return Errorf(Invalid, "The user name must be in lower case, in Unicode form NFC and without spaces around it.")
	}
	return nil
}

// ValidateServerName tells what is wrong with the name of a named server, as an Invalid [Error], or returns nil.
func ValidateServerName(name string) error {
	if err := validateName("server name", name, maxServerName); err != nil {
		return err
	}
	if name != strings.TrimSpace(name) || name != norm.NFC.String(name) {
		return Errorf(Invalid, "The server name must be in Unicode form NFC and without spaces around it.")
	}
	return nil
}

func validateName(what, name string, limit int) error {
	switch {
	case name == "":
		return Errorf(Invalid, "The %s is empty. Choose one of 1 to %d bytes.", what, limit)
	case len(name) > limit:
		return Errorf(Invalid, "The %s is longer than %d bytes. Choose a shorter one.", what, limit)
	case !utf8.ValidString(name):
		return Errorf(Invalid, "The %s is not valid UTF-8.", what)
	case name == "." || name == "..":
		return Errorf(Invalid, "The %s may not be %q, because browsers rewrite it in addresses.", what, name)
	case strings.ContainsAny(name, `/\`):
		return Errorf(Invalid, "The %s may not hold a slash or a backslash.", what)
	}
	for _, r := range name {
		if r != ' ' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs) || r == utf8.RuneError) {
			return Errorf(Invalid, "The %s may not hold the invisible character %U.", what, r)
		}
	}
	return nil
}

// EscapePath percent-encodes one path segment as JupyterHub does in URLs: all but letters, digits and _ . - ~ @ .
func EscapePath(segment string) string { return escape(segment, "_.-~@") }

// escapeClientID percent-encodes a name within an OAuth client ID as JupyterHub does: all but letters, digits and _ . - ~ / .
func escapeClientID(name string) string { return escape(name, "_.-~/") }

func escape(s, keep string) string {
	const hex = "0123456789ABCDEF"
	stays := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(keep, c) >= 0
	}
	plain := 0
	for plain < len(s) && stays(s[plain]) {
		plain++
	}
	if plain == len(s) { // nearly all names are
		return s
	}
	var b strings.Builder
	b.WriteString(s[:plain])
	for i := plain; i < len(s); i++ {
		c := s[i]
		if stays(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// clientPrefix begins the OAuth client IDs of servers.
const clientPrefix = "jupyterhub-user-"

// ClientID is the OAuth client ID of a server, and the name of the login cookie on it. JupyterHub puts a hyphen before the name of a named server, and then the
// server "b" of "a" has the client of the user "a-b". The slash, encoded, is in no name.
func ClientID(userName, serverName string) string {
	id := clientPrefix + escapeClientID(userName)
	if serverName != "" {
		id += "%2F" + escapeClientID(serverName)
	}
	return id
}
