//go:build unix

package store

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// hasNews tells, in one system call that waits for nothing, whether something has come on an idle connection: its end, if the
// server was restarted, or a message that nobody asked for. Either way it should be pinged before it is trusted with a query,
// because a query that is lost half-way cannot always be sent again.
func hasNews(conn net.Conn) bool {
	if wrapped, ok := conn.(*tls.Conn); ok {
		conn = wrapped.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	// Control and not Read: after a slow write, pgx leaves a reader waiting on the connection, and Read would wait for it.
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
	})
	return err != nil || !quiet
}
