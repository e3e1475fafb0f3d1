package restclient

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// Event is one piece of news about a start.
type Event struct {
	Progress int      `json:"progress"` // percent
	Message  string   `json:"message"`
	Ready    bool     `json:"ready"`
	Failed   bool     `json:"failed"`
	URL      string   `json:"url"`
	Log      []string `json:"log"` // where it failed: the last lines of the server
}

// maxEvent bounds one line of a stream, in bytes.
const maxEvent = 1 << 20

// Progress follows a server-sent stream of events to its end. A stream that breaks off ends with an error; one that the hub ends does not.
func (c *Client) Progress(ctx context.Context, path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		body, err := c.Stream(ctx, path, "text/event-stream")
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxEvent)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data:")
			if !ok {
				continue // what keeps the connection alive
			}
			var e Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				yield(Event{}, fmt.Errorf("an event of the hub cannot be read: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(Event{}, fmt.Errorf("the hub's events broke off: %w", err))
		}
	}
}
