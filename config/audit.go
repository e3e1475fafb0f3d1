package config

import (
	"fmt"
)

// Audit says how the log of who did what is kept.
type Audit struct {
	Keep Duration `hcl:"keep,optional" doc:"For how long entries of the audit log are kept; 0s: for ever."`
}

// Events says where starts and stops of servers are told.
type Events struct {
	File string `hcl:"file,optional" doc:"File to which each start and stop of a server is appended as one line of JSON, as JupyterHub does; - is the standard output. Empty: nowhere. After SIGHUP the file is opened anew."`
}

func (a Audit) validate() error {
	if a.Keep.Value() < 0 {
		return fmt.Errorf("audit.keep is %s, and must not be negative; 0s keeps entries for ever", a.Keep)
	}
	return nil
}
