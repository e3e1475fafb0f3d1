package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// shell is a terminal of the server, which jupyter_server_terminals keeps, and a websocket to it.
type shell struct {
	name string
	conn *websocket.Conn
}

// openTerminal makes a terminal and connects to it.
func (h *programs) openTerminal(t *testing.T) *shell {
	t.Helper()
	var made struct{ Name string }
	if text := h.must(t, http.MethodPost, "api/terminals", "{}"); json.Unmarshal(text, &made) != nil || made.Name == "" {
		t.Fatalf("a new terminal is %s", text)
	}
	return h.joinTerminal(t, made.Name)
}

func (h *programs) joinTerminal(t *testing.T, name string) *shell {
	t.Helper()
	s := &shell{name: name, conn: h.dial(t, "terminals/websocket/"+name)}
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	defer cancel()
	var first []any
	if err := wsjson.Read(ctx, s.conn, &first); err != nil || len(first) == 0 || first[0] != "setup" {
		t.Fatalf("the terminal begins with %v, %v", first, err)
	}
	return s
}

// types enters a line.
func (s *shell) types(t *testing.T, line string) {
	t.Helper()
	if err := wsjson.Write(t.Context(), s.conn, []string{"stdin", line + "\r"}); err != nil {
		t.Fatal(err)
	}
}

// read returns what the terminal shows next.
func (s *shell) read(ctx context.Context) (string, error) {
	var message []any
	if err := wsjson.Read(ctx, s.conn, &message); err != nil {
		return "", err
	}
	if len(message) == 2 && message[0] == "stdout" {
		text, _ := message[1].(string)
		return text, nil
	}
	return "", nil
}

// says enters a line and reads until the terminal shows what is wanted, which the line itself must not contain. It returns how much it read.
func (s *shell) says(t *testing.T, line, want string) (length int) {
	t.Helper()
	s.types(t, line)
	return s.shows(t, want)
}

func (s *shell) shows(t *testing.T, want string) (length int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	defer cancel()
	var last string
	for !strings.Contains(last, want) {
		text, err := s.read(ctx)
		if err != nil {
			t.Fatalf("the terminal shows no %q before %v, and in the end: %q", want, err, last)
		}
		length += len(text)
		last += text
		last = last[max(0, len(last)-4096):]
	}
	return length
}

// drain reads until the websocket ends, and returns how.
func (s *shell) drain(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, err := s.read(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// terminal types into a shell. One that puts out more than its reader takes holds up nobody else.
func (h *programs) terminal(t *testing.T) {
	quick, flood := h.openTerminal(t), h.openTerminal(t)
	quick.says(t, "echo is-$((6*7))-", "is-42-")

	const much = 4 << 20
	flood.types(t, "head -c 4194304 /dev/zero | tr '\\0' x; echo the-$((1+1))nd-end")
	h.echoes(t, "echo/echo")
	quick.says(t, "echo is-$((40+4))-", "is-44-")
	if text := h.must(t, http.MethodGet, "api/status", ""); !strings.Contains(string(text), "kernels") {
		t.Errorf("the server's status is %s", text)
	}
	if length := flood.shows(t, "the-2nd-end"); length < much {
		t.Errorf("%d bytes arrived of %d", length, much)
	}
	for _, s := range []*shell{quick, flood} {
		h.must(t, http.MethodDelete, "api/terminals/"+s.name, "")
	}
}
