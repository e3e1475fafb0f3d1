package api

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestPlainText: what terminals obey goes, however the text is cut into pieces.
func TestPlainText(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"":                                    "",
		"plain\ttext\r\nnext\n":               "plain\ttext\r\nnext\n",
		"\x1b[1;31mred\x1b[0m":                "red",
		"\x1b[?25l\x1b[2Kx\x1b[1A":            "x",
		"\x1b]0;title\x07a\x1b]8;;u\x1b\\b":   "ab",
		"\x1b(Bc\x1b=d\x1bMe":                 "cde",
		"a\x00b\x08c\x7fd":                    "abcd",
		"é 漢字 \xff":                           "é 漢字 \xff",
		"cut off \x1b]0;title\nnext line":     "cut off \nnext line",
		"\x1b\x1b[31mtwice":                   "twice",
		"at the end \x1b[":                    "at the end ",
		strings.Repeat("\x1b[0m", 5000) + "x": "x",
	}
	for text, want := range cases {
		for name, reader := range map[string]io.Reader{
			"whole": strings.NewReader(text), "by bytes": iotest.OneByteReader(strings.NewReader(text)), "with its end": iotest.DataErrReader(strings.NewReader(text)),
		} {
			got, err := io.ReadAll(&plainText{from: reader})
			if err != nil || string(got) != want {
				t.Errorf("%q read %s: got %q, %v; want %q", text, name, got, err, want)
			}
		}
	}
}
