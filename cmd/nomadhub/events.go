package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
)

// JupyterHub's schema of what is told of servers.
const (
	eventSchema  = "https://schema.jupyter.org/jupyterhub/events/server-action"
	eventVersion = 1
	// eventQueue is how many events wait at most for a file that does not take them.
	eventQueue = 10_000
	// eventsToStdout is the name that stands for the standard output.
	eventsToStdout = "-"
)

// serverEvent is an event as JupyterHub writes it.
type serverEvent struct {
	Timestamp       string `json:"__timestamp__"`
	Schema          string `json:"__schema__"`
	SchemaVersion   int    `json:"__schema_version__"`
	MetadataVersion int    `json:"__metadata_version__"`
	Action          string `json:"action"`
	Username        string `json:"username"`
	Servername      string `json:"servername"`
}

// eventLog appends events to a file, one JSON object a line. Nobody waits for it.
type eventLog struct {
	log    *slog.Logger
	stdout io.Writer
	lost   prometheus.Counter
	wanted atomic.Bool // there is somewhere to write to

	taking sync.Mutex // never held while something is written
	queue  chan hub.ServerEvent
	ended  bool

	writing sync.Mutex
	out     io.Writer // nil: nobody wants events
	file    *os.File  // that out is; nil: it is not ours to close
}

func newEventLog(log *slog.Logger, stdout io.Writer, r prometheus.Registerer) *eventLog {
	e := &eventLog{
		log: log, stdout: stdout, queue: make(chan hub.ServerEvent, eventQueue),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nomadhub_events_lost_total", Help: "Starts and stops of servers that could not be written to the file of events.",
		}),
	}
	r.MustRegister(e.lost)
	return e
}

// open has events written to a file from now on, which is opened anew if it is the same. "" is nowhere.
func (e *eventLog) open(name string) error {
	var out io.Writer
	var file *os.File
	switch name {
	case "":
	case eventsToStdout:
		out = e.stdout
	default:
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return fmt.Errorf("open the file of events: %w", err)
		}
		out, file = f, f
	}
	e.writing.Lock()
	defer e.writing.Unlock()
	if e.file != nil {
		if err := e.file.Close(); err != nil {
			e.log.Warn("the file of events was not closed cleanly", "err", err)
		}
	}
	e.out, e.file = out, file
	e.wanted.Store(out != nil)
	return nil
}

// tell takes an event. It does not wait for the file, unless the hub is about to end.
func (e *eventLog) tell(v hub.ServerEvent) {
	if e.wanted.Load() && !e.take(v) {
		e.write(v)
	}
}

// take keeps an event for later, or tells that there is no later.
func (e *eventLog) take(v hub.ServerEvent) bool {
	e.taking.Lock()
	defer e.taking.Unlock()
	if e.ended {
		return false
	}
	select {
	case e.queue <- v:
	default:
		e.lost.Inc()
	}
	return true
}

// run writes events until ctx ends, and then those that are left. Who tells one later writes it.
func (e *eventLog) run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case v := <-e.queue:
			e.write(v)
		case <-ctx.Done():
		}
	}
	e.taking.Lock()
	e.ended = true
	e.taking.Unlock()
	for {
		select {
		case v := <-e.queue:
			e.write(v)
		default:
			return nil
		}
	}
}

func (e *eventLog) write(v hub.ServerEvent) {
	line, err := json.Marshal(serverEvent{
		Timestamp: v.At.UTC().Format("2006-01-02T15:04:05.000000Z"), Schema: eventSchema, SchemaVersion: eventVersion, MetadataVersion: 1,
		Action: v.Action, Username: v.User, Servername: v.Server,
	})
	if err == nil {
		e.writing.Lock()
		if e.out != nil {
			_, err = e.out.Write(append(line, '\n')) // one call, so that lines of several programs do not mix
		}
		e.writing.Unlock()
	}
	if err != nil {
		e.lost.Inc()
		e.log.Warn("event not written", "action", v.Action, "user", v.User, "server", v.Server, "err", err)
	}
}
