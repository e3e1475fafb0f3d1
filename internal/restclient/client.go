// Package restclient speaks JupyterHub's REST API from outside: what the command line and scripts in Go need of it. It knows nothing of this hub's parts,
// so that it works with any hub that speaks the API.
package restclient

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Client is one caller of one hub. It is safe for concurrent use.
type Client struct {
	base  string // of the API, without a slash at its end
	token string
	http  *http.Client
}

// maxAnswer bounds an answer that is read whole, in bytes.
const maxAnswer = 256 << 20

// New makes a client of the API at the address: "https://hub.example.org/hub/api", or the hub's own address, of which the usual path is assumed. It sends the token
// nowhere else: redirects are not followed.
func New(address, token string) (*Client, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the hub's address must look like https://hub.example.org/hub/api, and not like %q", address)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/hub/api"
	}
	if token = strings.TrimSpace(token); strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token holds characters that no token has; look at where it comes from")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 2 * time.Minute // a start may take its time to be decided
	return &Client{
		base: strings.TrimRight(u.String(), "/"), token: token,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Close gives connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is a refusal, in the hub's own words.
type Error struct {
	Status     int
	Message    string        // a sentence
	RequestID  string        // under which the hub's log speaks of it; "" if it was not told
	RetryAfter time.Duration // 0: not told
}

func (e *Error) Error() string {
	text := e.Message
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(" (in %v)", e.RetryAfter)
	}
	if e.RequestID != "" && e.Status >= http.StatusInternalServerError {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// IsNotFound tells whether the hub said that there is no such thing, or none for this caller.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound
}

// Path joins names to a path of the API, each escaped: Path("users", "a/b") is "/users/a%2Fb".
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// Do makes a request. body, if not nil, is sent as JSON; an answer with a body is stored in out, if that is not nil. It returns the status. A refusal is an [Error].
func (c *Client) Do(ctx context.Context, method, path string, body, out any) (int, error) {
	res, err := c.send(ctx, method, path, body, "application/json")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return res.StatusCode, fmt.Errorf("the hub's answer broke off: %w", err)
	}
	if out != nil && len(text) > 0 {
		if err := json.Unmarshal(text, out); err != nil {
			return res.StatusCode, fmt.Errorf("what answers at %s is no hub's API: %w", c.base, err)
		}
	}
	return res.StatusCode, nil
}

// Stream opens an answer that is read as it comes. The caller closes it.
func (c *Client) Stream(ctx context.Context, path, accept string) (io.ReadCloser, error) {
	res, err := c.send(ctx, http.MethodGet, path, nil, accept)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// send makes a request and turns what is no success into an error.
func (c *Client) send(ctx context.Context, method, path string, body any, accept string) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "token "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(c.base, err)
	}
	if res.StatusCode < http.StatusMultipleChoices {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(c.base, res)
}

func unreachable(base string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // without the method and the whole address again
	}
	return fmt.Errorf("the hub at %s cannot be reached: %w", base, err)
}

// refusal reads what the hub says, or tells what answered in its place.
func refusal(base string, res *http.Response) error {
	const most = 64 << 10
	text, _ := io.ReadAll(io.LimitReader(res.Body, most)) // what is missing is made up for below
	var told struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	_ = json.Unmarshal(text, &told)
	e := &Error{Status: res.StatusCode, Message: printable(told.Message), RequestID: printable(told.RequestID)}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	if to := res.Header.Get("Location"); res.StatusCode < http.StatusBadRequest && to != "" {
		e.Message = fmt.Sprintf("What answers at %s sends on to %s. If that is the hub, give its address.", base, to)
	}
	e.Message = cmp.Or(e.Message, fmt.Sprintf("What answers at %s is no hub's API: it says %q.", base, res.Status))
	return e
}

// printable takes from a text what a terminal would obey: a sentence may repeat what somebody else wrote.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return '\uFFFD'
	}, text)
}
