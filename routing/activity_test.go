package routing

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// frame writes a websocket frame, masked unless it comes from the server.
func frame(opcode byte, payload []byte, masked bool) []byte {
	out := []byte{0x80 | opcode}
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		out = append(out, bit|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, bit|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, bit|127), uint64(n))
	}
	if !masked {
		return append(out, payload...)
	}
	mask := []byte{0x8a, 2, 3, 4}
	out = append(out, mask...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

func TestFramesTellDataFromControl(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		opcode  byte
		payload []byte
		room    bool
		want    bool
	}{
		{"text", 1, []byte("x"), false, true},
		{"empty text", 1, nil, false, true},
		{"bytes", 2, make([]byte, 130), false, true},
		{"a large message", 2, make([]byte, 1<<17), false, true},
		{"a continuation", 0, make([]byte, 126), false, true},
		{"ping", 9, []byte("ping"), false, false},
		{"pong", 10, nil, false, false},
		{"close", 8, []byte{3, 0xe8}, false, false},
		{"who is there", 2, []byte{awareness, 5, 7}, true, false},
		{"an edit", 2, []byte{0, 2, 7}, true, true},
		{"bytes that begin like who is there, elsewhere", 2, []byte{awareness}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, masked := range []bool{true, false} {
				whole := frame(c.opcode, c.payload, masked)
				quiet := frame(10, []byte("beat"), masked)
				for range 20 { // cut anywhere, between frames that say nothing
					f := frames{room: c.room}
					found := false
					for rest := append(append(append([]byte{}, quiet...), whole...), quiet...); len(rest) > 0; {
						n := min(1+rand.IntN(9), len(rest))
						if len(rest) > 1000 {
							n = 500
						}
						found = f.data(rest[:n]) || found
						rest = rest[n:]
					}
					if found != c.want || f.left != 0 || f.have != 0 {
						t.Fatalf("masked %v: data is %v, and %+v is left", masked, found, f)
					}
				}
			}
		})
	}
}

// Servers of users need not speak websocket at all after their handshake.
func TestFramesTakeAnything(t *testing.T) {
	t.Parallel()
	var f frames
	for range 10_000 {
		junk := make([]byte, rand.IntN(64))
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		f.data(junk)
	}
}

func BenchmarkFrames(b *testing.B) {
	message := frame(1, make([]byte, 300), true)
	var f frames
	b.ReportAllocs()
	for b.Loop() {
		if !f.data(message) {
			b.Fatal("no data")
		}
	}
}
