//go:build !linux

package main

import "syscall"

// childOfHub is a process group of its own.
func childOfHub() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
