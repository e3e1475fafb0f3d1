package local

import (
	"net"
	"testing"
)

// A port that was given out is not given out again before its server listens, whoever asks.
func TestClaimedPortsAreNotGivenAgain(t *testing.T) {
	t.Parallel()
	first, err := (&Scheduler{}).freePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.release)
	if again := claimPort(first.port); again != nil {
		again.release()
		t.Fatalf("port %d was given twice", first.port)
	}
	// Its server can listen there.
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: loopback(), Port: first.port})
	if err != nil {
		t.Fatal(err)
	}
	first.release()
	first.release()
	if claim := claimPort(first.port); claim != nil {
		claim.release()
		t.Errorf("port %d was given although somebody listens there", first.port)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	claim := claimPort(first.port)
	if claim == nil {
		t.Fatalf("port %d is not free again", first.port)
	}
	claim.release()
}
