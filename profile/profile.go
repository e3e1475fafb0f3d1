// Package profile is what an operator lets users choose from: kinds of servers as data, written in the configuration, each with options that
// a user may set within bounds, and rules about who may have what.
//
// It is pure: it knows nothing of the hub or the cluster. [Decode] makes a [Set] of the configuration's blocks; [Set.Forms] says what one user may
// choose; [Set.Resolve] turns a choice into what a scheduler runs. A Set never changes, so that a new configuration is a new Set.
package profile

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// User is for whom a profile is shown or resolved: "user" in expressions.
type User struct {
	ID     string
	Name   string
	Admin  bool
	Groups []string
}

// Server is for which server: "server" in expressions.
type Server struct {
	ID   string // "" before its first start
	Name string // "" for the default server
}

// Form is what one user may choose of one profile.
type Form struct {
	Name        string // names the profile in user_options and links: a-z, 0-9, hyphen and underscore
	DisplayName string
	Description string
	Icon        string // a name of the pages' own icons, or ""
	Default     bool   // chosen unless something else is; exactly one of a user's forms is
	Fields      []Field
	// Resources are what the profile asks for with its options at their defaults, for people to compare.
	Resources scheduler.Resources
	// Image is what it runs with its options at their defaults; "" if it is no container.
	Image string
	Pool  string // its node pool, "" for the cluster's default
}

// FieldKind is how a field is shown and checked.
type FieldKind string

// The kinds of fields.
const (
	FieldChoice FieldKind = "choice"
	FieldNumber FieldKind = "number"
	FieldText   FieldKind = "text"
	FieldBool   FieldKind = "bool"
)

// Field is one option of a profile as one user may set it.
type Field struct {
	Name        string
	DisplayName string
	Description string
	Kind        FieldKind
	Choices     []Choice // of a choice: only those that this user may have
	// Min, Max and Step bound a number; Unit is written behind it.
	Min, Max, Step float64
	Unit           string
	// Pattern is what a text must match whole, in RE2's syntax without anchors; Hint says it in words.
	Pattern string
	Hint    string
	// Default is what holds if the user says nothing: text, a number, a truth value, or a choice's name.
	Default string
}

// Choice is one of several.
type Choice struct {
	Name        string
	DisplayName string
	Description string
}

// Resolved is what one choice comes to.
type Resolved struct {
	Profile     string
	DisplayName string
	// Options are the user_options in their one canonical form: the profile's name under "profile" and each option under its own name, defaults included.
	Options json.RawMessage

	Workload    scheduler.Workload
	Resources   scheduler.Resources
	Env         map[string]string
	DefaultURL  string // "" leaves it to the hub
	NotebookDir string // "" leaves it to the server

	// Volumes are to exist before the server starts; each is mounted as its Mount says.
	Volumes []Claim

	// Timeouts; zero leaves them to the hub. StartTimeout runs from admission to a place, neither while the cluster is full nor while an image is
	// pulled; AnswerTimeout from the beginning of its boot to its first answer; QueueTimeout is how long it may wait for room at most.
	StartTimeout, AnswerTimeout, QueueTimeout time.Duration

	// IdleAfter stops a server that nothing shows to be used for so long; MaxAge stops it however much it is used; zero leaves both to the hub's rules,
	// negative means never.
	IdleAfter, MaxAge time.Duration
}

// Share says whose files a volume holds.
type Share string

// The shares.
const (
	ShareServer Share = "server" // one server's alone
	ShareUser   Share = "user"   // all servers of one user
	ShareGroup  Share = "group"  // all members of a group
	ShareAll    Share = "all"    // everybody
)

// Retention says what becomes of a volume when what it belongs to is deleted.
type Retention string

// The retentions. Whatever is said, a volume that the hub did not make is never deleted.
const (
	RetainKeep   Retention = "keep"   // it stays until an administrator deletes it
	RetainGrace  Retention = "grace"  // it stays for the grace period, and can be taken back until then
	RetainDelete Retention = "delete" // it goes with its server or user
)

// Claim asks for a volume and says where it is mounted. The hub gives the volume its ID and, with it, the mount its source.
type Claim struct {
	Name   string // of the volume within the profile, such as "home"
	Share  Share
	Group  string // whose it is, for ShareGroup
	Volume scheduler.Volume
	Mount  scheduler.Mount
	Retain Retention
	Grace  time.Duration // for RetainGrace
	// Existing is the cluster's name of a volume that the operator made; the hub then makes and deletes none.
	Existing string
}

// InvalidError says what is wrong with a choice, in a sentence for the person who made it.
type InvalidError struct {
	Field  string // the option's name, or "profile"
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s (option %q)", e.Reason, e.Field)
}
