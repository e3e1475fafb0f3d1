package main

import "syscall"

// childOfHub is a process group of its own that ends with the hub, however the hub ends.
func childOfHub() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
