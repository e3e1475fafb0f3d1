package httpd

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// DeviceCookie shows that a name has logged in with this browser before. It lets nobody in: it only has them not wait for what others did to their name.
const DeviceCookie = "nomadhub-device"

const (
	devicePurpose  = "cookie.device.v1"
	deviceLifetime = 180 * 24 * time.Hour
	maxDevices     = 4 // cookies of this name that are looked at
)

// Attempt begins an attempt to log in by a name and a password. A TooMany error says that it must not be made yet. Call End when it is over, and before that
// Wrong or [Sessions.Welcome] if it is known how it went.
func (s *Sessions) Attempt(r *http.Request, name string) (*Attempt, error) {
	if s.Guesses == nil {
		return nil, nil //nolint:nilnil // a nil Attempt is one that is not counted
	}
	return s.Guesses.begin(name, s.device(r, hub.NormalizeUserName(name)), addressOf(r))
}

// Welcome says that the password of an attempt was right. w is where a browser gets to know that it is familiar from now on; nil for a program.
func (s *Sessions) Welcome(w http.ResponseWriter, r *http.Request, a *Attempt) {
	if a == nil {
		return
	}
	a.right()
	if w == nil {
		return
	}
	device, now := a.device, s.Guesses.now()
	if device == "" {
		device = rand.Text()
	}
	text := device + "." + strconv.FormatInt(now.Unix(), 10)
	s.set(w, r, &http.Cookie{
		Name: DeviceCookie, Value: text + "." + s.Keys.Sign(devicePurpose, deviceMessage(text, a.name)), Path: s.URLs.Login(),
		HttpOnly: true, MaxAge: int(deviceLifetime.Seconds()), SameSite: http.SameSiteLaxMode,
	})
}

// deviceMessage is what is signed. The name is not in the cookie, so it tells nobody who sits here.
func deviceMessage(text, name string) []byte { return []byte(text + "\n" + name) }

// device is the ID of the browser if the name has logged in with it, or "".
func (s *Sessions) device(r *http.Request, name string) string {
	for i, c := range r.CookiesNamed(DeviceCookie) {
		if i == maxDevices {
			break
		}
		id, rest, _ := strings.Cut(c.Value, ".")
		begun, code, _ := strings.Cut(rest, ".")
		sec, err := strconv.ParseInt(begun, 10, 64)
		if err != nil || !s.Keys.Verify(devicePurpose, deviceMessage(id+"."+begun, name), code) {
			continue
		}
		if s.Guesses.now().Sub(time.Unix(sec, 0)) < deviceLifetime {
			return id
		}
	}
	return ""
}
