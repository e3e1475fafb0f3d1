package api

import (
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// layouts are the ways of writing a time that are understood, all of ISO 8601 that clients are known to send, and those of HTTP and mail.
var layouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
	"20060102T150405Z0700", "20060102T150405",
	time.RFC1123, time.RFC1123Z,
}

// parseTime reads a time as clients of JupyterHub write it. One without an offset is UTC. A fraction of seconds may be there or not.
func parseTime(text string) (time.Time, error) {
	if len(text) > len("2006-01-02") && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, hub.Errorf(hub.Invalid, "The time %q cannot be understood. Write it as 2026-01-31T12:34:56.789Z.", clip(text))
}

// clip keeps what a client sent from filling an error's sentence.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
