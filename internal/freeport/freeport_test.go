package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/nomadhub/nomadhub/internal/freeport"
)

func TestFind(t *testing.T) {
	t.Parallel()
	first, err := freeport.Find(40)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range first {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("port %d is not free: %v", port, err)
		}
		defer l.Close()
		if seen[port] || port < 10000 || port >= 20000 || freeport.Free(port) {
			t.Errorf("port %d was handed out twice, is out of range, or counts as free while it is not", port)
		}
		seen[port] = true
	}
	second, err := freeport.Find(40)
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range second {
		if seen[port] {
			t.Errorf("port %d was handed out again although others were left", port)
		}
	}
	if ports, err := freeport.Find(250); err == nil {
		t.Errorf("more ports than there are: %v", ports)
	}
}
