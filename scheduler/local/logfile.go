package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// maxTailBytes is how much of a log is read to find its last lines.
	maxTailBytes = 256 << 10
	// maxLineRunes is how much of one line is shown.
	maxLineRunes = 2000
)

// openLog opens the file that a server writes to. Append mode is what lets boundLog empty it under the server's hands: the next
// write goes to the new end.
func openLog(folder string) (*os.File, error) {
	return os.OpenFile(filepath.Join(folder, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// boundLog moves the log aside when it has grown beyond limit. Lines written in the very moment can be lost.
func boundLog(folder string, limit int64) error {
	path := filepath.Join(folder, logName)
	info, err := os.Stat(path)
	if err != nil || info.Size() <= limit {
		return err
	}
	text, err := readEnd(path, limit)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, oldLogName), text, 0o600); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// readEnd reads at most the last n bytes of a file; none if there is no file.
func readEnd(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-n), n))
}

// LogTail implements [scheduler.LogTailer].
func (s *Scheduler) LogTail(ctx context.Context, id string, n int) ([]string, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if s.lookup(id) == nil {
		return nil, scheduler.ErrNotFound
	}
	return tailLog(s.folder(id), n)
}

func tailLog(folder string, n int) ([]string, error) {
	text, err := readEnd(filepath.Join(folder, logName), maxTailBytes)
	if err != nil {
		return nil, err
	}
	if len(text) < maxTailBytes { // all of it: what came before was moved aside
		old, err := readEnd(filepath.Join(folder, oldLogName), maxTailBytes-int64(len(text)))
		if err != nil {
			return nil, err
		}
		text = append(old, text...)
	}
	return lastLines(string(text), n), nil
}

// lastLines returns at most the last n lines of what a terminal program printed, as a reader would see them.
func lastLines(text string, n int) []string {
	if n <= 0 || text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return lines
}

// escape matches what terminals obey: control sequences, strings such as a window title, and the short ones.
var escape = regexp.MustCompile("\x1b(?:" +
	`\[[0-?]*[ -/]*[@-~]` + "|" + // colours, cursor
	`[\]PX^_][^` + "\x07\x1b" + `]*(?:` + "\x07|\x1b" + `\\)?` + "|" + // title and other strings
	`[ -/]*[0-~])?`)

// plain turns one line into text: without escapes and control characters, of a line that was written over only the last state.
func plain(line string) string {
	line = strings.ToValidUTF8(line, "\uFFFD")
	line = escape.ReplaceAllString(line, "")
	line = strings.TrimRight(line, "\r")
	line = line[strings.LastIndexByte(line, '\r')+1:]
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return -1
		}
		return r
	}, line)
	if runes := []rune(line); len(runes) > maxLineRunes {
		line = string(runes[:maxLineRunes]) + "…"
	}
	return line
}
