//go:build unix && !linux

package pgtest

import "syscall"

// processAttributes runs a process as the account, in a process group of its own so that Ctrl-C reaches us first.
func processAttributes(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account, Setpgid: true}
}
