package api

import (
	"net/http"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// noticeView is what the owner of a running server should know. It is not JupyterHub's.
type noticeView struct {
	Kind     string   `json:"kind"` // drain, lost, idle, age, usage
	Message  string   `json:"message"`
	Time     any      `json:"time"`
	Until    any      `json:"until"` // when it happens; null: not known
	Evidence []string `json:"evidence,omitempty"`
}

func viewNotice(n hub.Notice) noticeView {
	return noticeView{
		Kind: string(n.Kind), Message: n.Message, Evidence: n.Evidence,
		Time: timestamp(n.Time.Truncate(time.Second)), Until: timestamp(n.Until.Truncate(time.Second)),
	}
}

// moveServer has a running server go on elsewhere, and answers 202 at once: the progress of its start tells the rest.
func (a *API) moveServer(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	if _, err := a.server(r.Context(), t); err != nil {
		return err
	}
	if _, err := a.hub.MoveServer(r.Context(), t.user.Name, t.server); err != nil {
		return err
	}
	empty(w, http.StatusAccepted)
	return nil
}
