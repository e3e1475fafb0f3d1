package api

import "io"

// plainText takes from what a terminal program prints what only terminals obey: escape sequences and control characters but line ends and tabs. It keeps one byte
// of state and passes on at most what it reads, so that a log of any length goes through.
type plainText struct {
	from  io.Reader
	state textState
}

type textState int

const (
	inText      textState = iota
	afterEscape           // ESC was read
	inSequence            // a control sequence, up to its last letter: colours, cursor
	inString              // a title and the like, up to BEL or ESC \
	endOfString           // ESC within a string
	inShort               // one of the short sequences, up to its last letter
)

// Read implements io.Reader. It reads again where all that came was dropped.
func (t *plainText) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := t.from.Read(p)
		kept := 0
		for _, b := range p[:n] {
			if t.keep(b) {
				p[kept] = b
				kept++
			}
		}
		if kept > 0 || err != nil {
			return kept, err
		}
	}
}

const (
	bell   = 0x07
	escape = 0x1b
	del    = 0x7f
)

// keep tells whether a byte is text.
func (t *plainText) keep(b byte) bool {
	switch t.state {
	case inText:
		if b == escape {
			t.state = afterEscape
			return false
		}
		return b == '\n' || b == '\t' || b == '\r' || b >= ' ' && b != del
	case afterEscape:
		t.state = introduced(b)
	case inSequence:
		if b >= 0x40 && b <= 0x7e {
			t.state = inText
		}
	case inString:
		switch b {
		case bell:
			t.state = inText
		case escape:
			t.state = endOfString
		case '\n': // no title has lines: something was cut off
			t.state = inText
			return true
		}
	case endOfString:
		t.state = inText
	case inShort:
		if b >= 0x30 {
			t.state = inText
		}
	}
	return false
}

// introduced says what begins with a byte that follows ESC.
func introduced(b byte) textState {
	switch b {
	case '[':
		return inSequence
	case ']', 'P', 'X', '^', '_':
		return inString
	case escape:
		return afterEscape
	}
	if b >= 0x20 && b < 0x30 {
		return inShort
	}
	return inText
}
