package pgtest

import "syscall"

// processAttributes runs a process as the account, in a process group of its own so that Ctrl-C reaches us first, and has the
// kernel end it should we be killed: SIGQUIT makes Postgres end at once.
func processAttributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
