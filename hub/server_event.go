package hub

import "time"

// ServerEvent is a start or a stop of a server that was asked for and has succeeded.
type ServerEvent struct {
	At     time.Time
	Action string // "start" or "stop"
	User   string
	Server string // "" is the default server
}

// tellEvent hands an event to whoever wants to know.
func (h *Hub) tellEvent(action string, s Server) {
	if h.opts.Events != nil {
		h.opts.Events(ServerEvent{At: h.now(), Action: action, User: s.UserName, Server: s.Name})
	}
}

// tellStop tells of a stop that somebody asked for, or a rule of the hub's. What ended by itself or could not be started is none.
func (h *Hub) tellStop(s Server) {
	if s.Failure == nil || s.Failure.Cause == "" && len(s.Failure.Evidence) > 0 {
		h.tellEvent("stop", s)
	}
}
