package httpd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/hub"
)

// HandlerFunc is a handler that may fail. What it returns is rendered by the group's [Renderer].
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// maxBody bounds the bodies of requests to the hub itself, in bytes.
const maxBody = 1 << 20

// Decode reads a JSON body into a T. An empty body is the zero T; unknown keys, a body that is too large or not JSON are an Invalid error.
func Decode[T any](r *http.Request) (T, error) { return decode[T](r, true) }

// DecodeLenient is Decode for the places where JupyterHub ignores keys that it does not know.
func DecodeLenient[T any](r *http.Request) (T, error) { return decode[T](r, false) }

func decode[T any](r *http.Request, strict bool) (T, error) {
	var v, none T
	body, err := Body(r)
	if err != nil || len(bytes.Trim(body, " \t\r\n")) == 0 { // what JSON takes for blank, and no more
		return v, err
	}
	if !strict {
		if err := json.Unmarshal(body, &v); err == nil {
			return v, nil
		}
		v = none // and below is told what is wrong
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(&v); err != nil {
		return none, &hub.Error{Kind: hub.Invalid, Message: "The body is not the JSON that is expected here: " + jsonTrouble(err), Err: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return none, &hub.Error{Kind: hub.Invalid, Message: "The body is not the JSON that is expected here: something follows it.", Err: err}
	}
	return v, nil
}

func jsonTrouble(err error) string {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if te.Field == "" {
			return "it must not be of the type " + te.Value + "."
		}
		return "the field " + te.Field + " must not be of the type " + te.Value + "."
	}
	if key, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok { // encoding/json has no type for it
		return "the key " + key + " is not known."
	}
	return "it cannot be parsed."
}

// Body reads the whole body, within bounds.
func Body(r *http.Request) ([]byte, error) {
	body, err := readBody(r)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, hub.Errorf(hub.Invalid, "The body is larger than %d bytes.", maxBody)
	}
	if err != nil {
		return nil, &hub.Error{Kind: hub.Invalid, Message: "The body could not be read.", Err: err}
	}
	return body, nil
}

// smallBody is up to which length a body gets memory as the request says, before any of it has come.
const smallBody = 4096

func readBody(r *http.Request) (body []byte, err error) {
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		return io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	}
	body = make([]byte, r.ContentLength)
	_, err = io.ReadFull(r.Body, body)
	return body, err
}

// JSON writes v with the status.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return JSONText(w, status, body)
}

// ownLength is up to which length net/http finds out by itself how long an answer is; a longer one would come in chunks.
const ownLength = 2048

// jsonType is made once, and not for each answer.
var jsonType = []string{"application/json"}

// JSONText writes a body that is JSON already, with the status.
func JSONText(w http.ResponseWriter, status int, body []byte) error {
	w.Header()["Content-Type"] = jsonType
	if len(body) > ownLength {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone; nobody is left to tell
	return nil
}

// Param returns a path parameter, decoded: chi hands parameters over as they stand in the path. What cannot be decoded is a NotFound error.
func Param(r *http.Request, name string) (string, error) {
	raw := chi.URLParam(r, name)
	if r.URL.RawPath == "" {
		return raw, nil // the path held nothing that was encoded in an unusual way, so chi matched the decoded one
	}
	v, err := url.PathUnescape(raw)
	if err != nil {
		return "", &hub.Error{Kind: hub.NotFound, Message: "The address is not percent-encoded as it should be.", Err: err}
	}
	return v, nil
}
