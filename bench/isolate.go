package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// insideEnv is set for the copy of this program that runs in namespaces of its own.
const insideEnv = "NOMADHUB_BENCH_INSIDE"

// isolated runs this program again, with the same arguments, where it has network and processes for itself.
func isolated(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...) //nolint:gosec // ourselves
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL, // the first process of a namespace takes all others with it
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	signal.Ignore(os.Interrupt) // the terminal sends it to both; the copy decides
	return cmd.Run()
}

// settle makes the namespaces usable: processes are seen in /proc as they are numbered here, and the loopback address works.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("own mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("own /proc: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("own loopback address: %w", err)
	}
	// Above the ports that Nomad gives to servers.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("33000 64000"), 0); err != nil {
		return fmt.Errorf("ports for outgoing connections: %w", err)
	}
	return nil
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request := struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{name: [unix.IFNAMSIZ]byte{'l', 'o'}, flags: unix.IFF_UP | unix.IFF_RUNNING}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))) //nolint:gosec // the kernel's own interface
	if errno != 0 {
		return errno
	}
	return nil
}

// canIsolate tells whether this account may make namespaces.
func canIsolate() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can give a run network and processes of its own")
	}
	return nil
}
