package hub_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// tally counts requests and keeps when they came.
type tally struct {
	mu sync.Mutex
	at []time.Time
	// busy is set where only what the hub asks counts: not what is set on each new connection, nor whether one is still there that was idle for a second.
	busy bool
}

func (c *tally) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
}

func (c *tally) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.at)
}

// peak is the most that came within any second that begins after then, and how many came since in all.
func (c *tally) peak(then time.Time) (most, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest := 0
	for i, at := range c.at {
		if !at.After(then) {
			oldest = i + 1
			continue
		}
		for at.Sub(c.at[oldest]) > time.Second {
			oldest++
		}
		all++
		most = max(most, i-oldest+1)
	}
	return most, all
}

// countedPostgres stands between a store and Postgres, and counts the statements that pass. It returns the URL to use instead.
func countedPostgres(t *testing.T, dsn string, c *tally) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	postgres := u.Host
	var passing sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); cancel(); passing.Wait() })
	passing.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { passPostgres(ctx, t, from, postgres, c) })
		}
	})
	u.Host = l.Addr().String()
	return u.String()
}

func passPostgres(ctx context.Context, t *testing.T, from net.Conn, address string, c *tally) {
	defer from.Close()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Errorf("postgres: %v", err)
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { _ = from.Close(); _ = to.Close() })()
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(from, to); _ = from.Close() })
	if err := countStatements(to, from, c); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		t.Logf("postgres: a connection ended with %v", err)
	}
	_ = to.Close()
	back.Wait()
}

// countStatements copies what a client of Postgres sends. Each message but the first begins with its kind, and all have their length; 'Q' is a statement by
// itself, and 'E' has a prepared one carried out.
func countStatements(to io.Writer, from io.Reader, c *tally) error {
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first {
			head = head[:4]
		}
		if _, err := io.ReadFull(from, head); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return err
		}
		upkeep := bytes.HasPrefix(body, []byte("-- ping")) || bytes.HasPrefix(body, []byte("SET "))
		if kind := head[0]; !first && (kind == 'E' || kind == 'Q' && (!c.busy || !upkeep)) {
			c.note()
		}
		if _, err := to.Write(slices.Concat(head, body)); err != nil {
			return err
		}
	}
}
