package config

import (
	"fmt"
	"time"
)

// Audit says how the log of who did what is kept.
type Audit struct {
	Keep KeepSpan `hcl:"keep,optional" doc:"For how long entries of the audit log are kept; 0s: for ever."`
}

// Events says where starts and stops of servers are told.
type Events struct {
	File string `hcl:"file,optional" doc:"File to which each start and stop of a server is appended as one line of JSON, as JupyterHub does; - is the standard output. Empty: nowhere. After SIGHUP the file is opened anew."`
}

// KeepSpan is a length of time as Duration is, or "0s", which has no end.
type KeepSpan string

// Value returns the length of time; 0: for ever. Validate has seen to it that it can be read.
func (k KeepSpan) Value() time.Duration { return Duration(k).Value() }

func (a Audit) validate() error {
	if d, err := time.ParseDuration(string(a.Keep)); err != nil || d < 0 {
		return fmt.Errorf("audit.keep: %q is not a length of time such as 8760h; 0s keeps entries for ever", a.Keep)
	}
	return nil
}
