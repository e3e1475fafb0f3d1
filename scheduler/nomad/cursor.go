package nomad

import (
	"unique"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/pull"
)

// cursor reads what Nomad writes.
type cursor struct{ pull.Cursor }

func newCursor(text []byte) *cursor { return &cursor{pull.New(text)} }

// word reads text that occurs again and again, as the names of machines and of states do. It is in memory once, however many hold it.
func (c *cursor) word(into *string) error {
	text, err := c.Value()
	if err != nil {
		return err
	}
	switch string(text) {
	case `""`:
		*into = ""
	case `"` + api.AllocClientStatusRunning + `"`:
		*into = api.AllocClientStatusRunning
	case `"` + api.AllocClientStatusPending + `"`:
		*into = api.AllocClientStatusPending
	case `"` + api.AllocDesiredStatusRun + `"`:
		*into = api.AllocDesiredStatusRun
	case `"` + api.TaskStarted + `"`:
		*into = api.TaskStarted
	case `"` + api.TaskReceived + `"`:
		*into = api.TaskReceived
	case `"` + api.TaskSetup + `"`:
		*into = api.TaskSetup
	default:
		if err = pull.Text(text, into); *into != "" {
			*into = unique.Make(*into).Value()
		}
	}
	return err
}
