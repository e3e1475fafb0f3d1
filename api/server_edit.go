package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// isNull tells whether a value of JSON is not there, or says so.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// serverBody reads what a server shall be made or started with. An object with the key user_options or display_name holds these; any other object is the user_options
// themselves, as up to JupyterHub 5. Without a body, the server is what it last was.
func serverBody(r *http.Request) (e hub.ServerEdit, err error) {
	body, err := httpd.DecodeLenient[json.RawMessage](r)
	if err != nil || isNull(bytes.TrimSpace(body)) {
		return e, err
	}
	keys, err := objectOf(body)
	if err != nil {
		return e, err
	}
	options, hasOptions := keys["user_options"]
	name, hasName := keys["display_name"]
	if !hasOptions && !hasName {
		e.Options = body
		return e, nil
	}
	if hasName {
		if e.DisplayName, err = textOf("display_name", name); err == nil && e.DisplayName == nil {
			err = hub.Errorf(hub.Invalid, "The field display_name must be a text.")
		}
		if err != nil {
			return e, err
		}
		if *e.DisplayName, err = hub.NormalizeDisplayName(*e.DisplayName); err != nil { // also where it is then not used, as the server is on its way already
			return e, err
		}
	}
	if !isNull(options) {
		e.Options, err = optionsOf(options)
	}
	return e, err
}

func objectOf(body json.RawMessage) (keys map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(body, &keys); err != nil || keys == nil {
		return nil, hub.Errorf(hub.Invalid, "The body must be a JSON object.")
	}
	return keys, nil
}

// textOf reads a field that holds a text, or null for none.
func textOf(field string, raw json.RawMessage) (*string, error) {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, hub.Errorf(hub.Invalid, "The field %s must be a text.", field)
	}
	return text, nil
}

func optionsOf(raw json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, hub.Errorf(hub.Invalid, "The field user_options must be an object.")
	}
	return raw, nil
}

// makeServer makes a named server that can be started later.
func (a *API) makeServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	wanted, err := serverBody(r)
	if err != nil {
		return err
	}
	s, err := a.hub.CreateServer(r.Context(), t.user, t.server, wanted)
	if err != nil {
		return err
	}
	return a.writeServer(w, r, http.StatusCreated, t.user, s)
}

// editServer changes a server that does not run.
func (a *API) editServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	edit, err := editBody(r)
	if err != nil {
		return err
	}
	before, err := a.server(r.Context(), t)
	if err != nil {
		return err
	}
	s, err := a.hub.EditServer(r.Context(), t.user, before, edit)
	if err != nil {
		return err
	}
	return a.writeServer(w, r, http.StatusOK, t.user, s)
}

// editBody reads what shall be changed: at least one thing.
func editBody(r *http.Request) (e hub.ServerEdit, err error) {
	body, err := httpd.DecodeLenient[json.RawMessage](r)
	if err != nil {
		return e, err
	}
	keys := map[string]json.RawMessage{}
	if body = bytes.TrimSpace(body); !isNull(body) {
		if keys, err = objectOf(body); err != nil {
			return e, err
		}
	}
	if len(keys) == 0 {
		return e, hub.Errorf(hub.Invalid, "Say what to change: name, display_name or user_options.")
	}
	for key, value := range keys {
		switch key {
		case "name":
			e.Name, err = textOf(key, value)
		case "display_name":
			e.DisplayName, err = textOf(key, value)
		case "user_options":
			e.Options, err = optionsOf(value)
		default:
			err = hub.Errorf(hub.Invalid, "The key %q is not known. What can be changed is name, display_name and user_options.", clip(key))
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}
