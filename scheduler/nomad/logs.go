package nomad

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/scheduler"
)

// maxLogBytes is how much of the end of each of a server's two logs is read.
const maxLogBytes = 64 << 10

// escapes are terminal control sequences and the control characters that a page must not show.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]`)

// LogTail implements scheduler.LogTailer. Nomad keeps output and errors apart, so lines of the error log, which says why a server
// ended, come after those of the output.
func (s *Scheduler) LogTail(ctx context.Context, id string, n int) ([]string, error) {
	alloc, err := s.newestAlloc(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if job, err := s.readJob(ctx, id); err != nil || (job == nil && (alloc == nil || isTerminal(alloc.clientStatus))) {
		return nil, errors.Join(err, scheduler.ErrNotFound)
	}
	if alloc == nil {
		return nil, nil
	}
	var lines []string
	for _, kind := range []string{"stdout", "stderr"} {
		part, err := s.readLog(ctx, alloc, kind)
		if err != nil {
			return nil, err
		}
		lines = append(lines, part...)
	}
	return lines[max(0, len(lines)-max(0, n)):], nil
}

func (s *Scheduler) readLog(ctx context.Context, alloc *allocView, kind string) ([]string, error) {
	q := s.query(ctx)
	q.Params = map[string]string{
		"task": mainTask(alloc), "type": kind, "plain": "true",
		"origin": "end", "offset": strconv.Itoa(maxLogBytes),
	}
	stream, err := s.client.Raw().Response("/v1/client/fs/logs/"+alloc.id, q)
	if err != nil {
		// A task that has not begun has no log yet: 404, or 500 from a machine that knows the allocation but not the file.
		if code := statusCode(err); code == http.StatusNotFound || (code != 0 && strings.Contains(body(err), "not found")) {
			return nil, nil
		}
		return nil, translate(ctx, "reading the log", err)
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, 2*maxLogBytes))
	if err != nil {
		return nil, translate(ctx, "reading the log", err)
	}
	return logLines(text), nil
}

// mainTask returns the name of the task that is the server.
func mainTask(alloc *allocView) string {
	if len(alloc.tasks) == 1 {
		for name := range alloc.tasks {
			return name
		}
	}
	return taskName
}

// logLines splits a piece of a log into lines without escapes. The first line is dropped if the piece began within it.
func logLines(text []byte) []string {
	if len(text) >= maxLogBytes {
		if end := bytes.IndexByte(text, '\n'); end >= 0 {
			text = text[end+1:]
		}
	}
	clean := strings.ToValidUTF8(string(text), "\uFFFD")
	var lines []string
	for line := range strings.Lines(clean) {
		// A progress bar rewrites its line: what is seen is what follows the last return.
		line = strings.TrimRight(line, "\r\n")
		line = line[strings.LastIndexByte(line, '\r')+1:]
		lines = append(lines, escapes.ReplaceAllString(line, ""))
	}
	return lines
}
