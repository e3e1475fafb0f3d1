package main

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // what RFC 6455 has a handshake prove itself with
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A chat is a websocket on which a browser sends a small message ten times a second, and its server sends each back. Frames are written by hand, because a library
// would take more of the processor than what is measured.

const (
	chatBytes = 64                     // of each message
	chatEvery = 100 * time.Millisecond // between two messages of a socket
	chatFrame = 0x82                   // a whole binary message

	maskedHead, plainHead = 6, 2 // bytes before a message from the browser, and before one from the server
	webSocketKey          = "dGhlIHNhbXBsZSBub25jZQ=="
	webSocketGUID         = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// chatServers answer at the addresses of servers, whose number begins with 1.
type chatServers struct{ servers []*http.Server }

func serveChats(ctx context.Context, n, port int) (*chatServers, error) {
	c := &chatServers{}
	for i := range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fakePlace(int64(i+1), port))
		if err != nil {
			c.close()
			return nil, err
		}
		s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(echoChat)}
		c.servers = append(c.servers, s)
		go func() { _ = s.Serve(l) }()
	}
	return c, nil
}

func (c *chatServers) close() {
	for _, s := range c.servers {
		_ = s.Close()
	}
}

// echoChat sends back each message until the browser goes.
func echoChat(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		w.WriteHeader(http.StatusOK)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(key + webSocketGUID)) //nolint:gosec // see above
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	in, out := make([]byte, maskedHead+chatBytes), make([]byte, plainHead+chatBytes)
	for err == nil {
		if _, err = io.ReadFull(buffered, in); err != nil || in[0] != chatFrame {
			return // also when it says that it goes
		}
		copy(out[plainHead:], in[maskedHead:]) // masked with zeros
		out[0], out[1] = chatFrame, chatBytes
		_, err = conn.Write(out)
	}
}

// chats are browsers' ends.
type chats struct {
	conns []net.Conn
	reads []*bufio.Reader
	began time.Time
}

// openChats opens a websocket through the hub to the server of each of the first n users.
func openChats(ctx context.Context, public string, n int) (*chats, error) {
	c := &chats{began: time.Now()}
	for i := range n {
		conn, reader, err := openChat(ctx, strings.TrimPrefix(public, "http://"), "/user/"+userName(i)+"/api/kernels/1/channels")
		if err != nil {
			c.close()
			return nil, fmt.Errorf("the websocket of %s: %w", userName(i), err)
		}
		c.conns, c.reads = append(c.conns, conn), append(c.reads, reader)
	}
	return c, nil
}

func openChat(ctx context.Context, address, path string) (net.Conn, *bufio.Reader, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		path, address, webSocketKey)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil) //nolint:bodyclose // what follows the head of an upgrade is the websocket
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(res.Status)
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, reader, nil
}

func (c *chats) close() {
	if c == nil {
		return
	}
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// talk sends on all of them, each at its own times, until ctx ends, and notes how long each message was on its way from when it was due. It returns when all have come
// back, or a websocket has broken.
func (c *chats) talk(ctx context.Context, s *stream) {
	if c == nil {
		return
	}
	var talking sync.WaitGroup
	defer talking.Wait()
	for i := range c.conns {
		talking.Go(func() { c.talkOn(ctx, i, s) })
	}
}

func (c *chats) talkOn(ctx context.Context, i int, s *stream) {
	sent := make(chan time.Time, 1+int(time.Minute/chatEvery)) // when those were due that have not come back
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { c.listen(i, sent, s) })
	defer close(sent)
	message := make([]byte, maskedHead+chatBytes)
	message[0], message[1] = chatFrame, 0x80|chatBytes
	due := time.Now().Add(rand.N(chatEvery)) //nolint:gosec // so that they do not all speak at once
	for n := uint64(0); pause(ctx, time.Until(due)); n++ {
		binary.BigEndian.PutUint64(message[maskedHead:], n)
		if _, err := c.conns[i].Write(message); err != nil {
			s.note(due, err)
			return
		}
		sent <- due
		due = due.Add(chatEvery)
	}
}

// listen reads what comes back, in its order.
func (c *chats) listen(i int, sent <-chan time.Time, s *stream) {
	message := make([]byte, plainHead+chatBytes)
	n := uint64(0)
	for due := range sent {
		err := c.conns[i].SetReadDeadline(time.Now().Add(askPatience))
		if err == nil {
			_, err = io.ReadFull(c.reads[i], message)
		}
		if got := binary.BigEndian.Uint64(message[plainHead:]); err == nil && got != n {
			err = fmt.Errorf("message %d came back in the place of %d", got, n)
		}
		s.note(due, err)
		n++
		if err != nil {
			_ = c.conns[i].Close() // whoever writes hears of it
			for range sent {
				n++
			}
			return
		}
	}
}
