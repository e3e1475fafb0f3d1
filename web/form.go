package web

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// formView is the choice before a start: which profile, and its options.
type formView struct {
	chrome
	Server   serverView
	Own      bool
	Heading  string
	Restart  bool // the server runs, and is to be started anew
	Action   string
	Next     string
	Problem  string // why the last try was refused
	Profiles []profileView
	Single   bool // there is only one profile, so that nothing need be chosen but its options
	Live     bool // some forecast is not there yet
}

// profileView is one profile of the form.
type profileView struct {
	profile.Form
	Chosen    bool
	Fields    []fieldView
	Facts     []string // what it has, in words: "2 cores", "4 GB of memory"
	Forecast  string   // whether it would start now; "" if nobody knows
	Outlook   string   // "fits", "waits", "never" or "": chooses a colour
	Warm      string   // on how many machines its image is already; "" if nobody knows
	Permalink string
}

// fieldView is one option of a profile.
type fieldView struct {
	profile.Field
	ID    string // of the HTML element
	Input string // the name under which the browser sends it
	Value string
}

// fieldSeparator stands between a profile's name and its option's in the names of fields: every profile of the form has its own.
const fieldSeparator = "--"

// Chosen tells whether the choice is the field's present value.
func (f fieldView) Chosen(c profile.Choice) bool { return f.Value == c.Name }

// choices are the options of a start as text, by name: "profile" is the profile's.
type choices map[string]string

// choicesOf reads user_options, which a form, a link or a script may have written: values are text, numbers, truth values, or lists of which the first counts.
func choicesOf(options json.RawMessage) choices {
	var values map[string]any
	if json.Unmarshal(options, &values) != nil {
		return choices{}
	}
	c := choices{}
	for name, v := range values {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		switch v := v.(type) {
		case string:
			c[name] = v
		case float64:
			c[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case bool:
			c[name] = strconv.FormatBool(v)
		}
	}
	return c
}

// with puts other choices over these. Another profile's options are not this one's.
func (c choices) with(other choices) choices {
	if p := other["profile"]; p != "" && p != c["profile"] {
		return other
	}
	both := maps.Clone(c)
	maps.Copy(both, other)
	return both
}

// choosable tells whether there is anything to choose.
func choosable(forms []profile.Form) bool {
	return len(forms) > 1 || len(forms) == 1 && len(forms[0].Fields) > 0
}

// choicesIn reads the options of an address, such as ?profile=gpu&size=4.
func choicesIn(q url.Values) choices {
	c := choices{}
	for name, values := range spawnArguments(q) {
		if len(values) > 0 {
			c[name] = values[0]
		}
	}
	return c
}

// viewProfiles prepares the form. What was asked for last is chosen, unless the user may not have it any more.
func (h *Web) viewProfiles(forms []profile.Form, chosen choices, at string) []profileView {
	views := make([]profileView, len(forms))
	selected := -1
	for i, form := range forms {
		views[i] = profileView{Form: form, Facts: factsOf(form), Permalink: at + "?" + url.Values{"profile": {form.Name}}.Encode()}
		if form.Name == chosen["profile"] || selected < 0 && form.Default && chosen["profile"] == "" {
			selected = i
		}
	}
	if selected < 0 { // what was chosen is there no more
		for i, form := range forms {
			if form.Default || selected < 0 {
				selected = i
			}
		}
	}
	for i := range views {
		views[i].Chosen = i == selected
		mine := choices{}
		if views[i].Chosen {
			mine = chosen
		}
		views[i].Fields = viewFields(forms[i], mine)
	}
	return views
}

func viewFields(form profile.Form, chosen choices) []fieldView {
	fields := make([]fieldView, len(form.Fields))
	for i, f := range form.Fields {
		name := form.Name + fieldSeparator + f.Name
		v := fieldView{Field: f, ID: "option-" + name, Input: name, Value: f.Default}
		if value, ok := chosen[f.Name]; ok && acceptable(f, value) {
			v.Value = value
		}
		fields[i] = v
	}
	return fields
}

// acceptable tells whether a remembered or linked value may stand in the form; the profile decides again when it is sent.
func acceptable(f profile.Field, value string) bool {
	switch f.Kind {
	case profile.FieldChoice:
		for _, c := range f.Choices {
			if c.Name == value {
				return true
			}
		}
		return false
	case profile.FieldNumber:
		n, err := strconv.ParseFloat(value, 64)
		return err == nil && n >= f.Min && n <= f.Max
	case profile.FieldBool:
		_, err := strconv.ParseBool(value)
		return err == nil
	case profile.FieldText:
	}
	return true
}

// factsOf says what a profile has, for comparing it with others.
func factsOf(f profile.Form) []string {
	var facts []string
	add := func(present bool, format string, args ...any) {
		if present {
			facts = append(facts, fmt.Sprintf(format, args...))
		}
	}
	r := f.Resources
	add(r.Cores > 0, "%s for you alone", counted(float64(r.Cores), "core"))
	add(r.CPUGuarantee > 0 && r.CPUGuarantee != r.CPULimit, "%s guaranteed", counted(r.CPUGuarantee, "core"))
	add(r.CPULimit > 0, "%s at most", counted(r.CPULimit, "core"))
	add(r.CPU > 0, "%d MHz of processor", r.CPU)
	add(r.MemoryMB > 0, "%s of memory", scheduler.Megabytes(r.MemoryMB))
	add(r.MemoryMaxMB > r.MemoryMB, "up to %s of memory", scheduler.Megabytes(r.MemoryMaxMB))
	add(r.DiskMB > 0, "%s of scratch disk", scheduler.Megabytes(r.DiskMB))
	for _, d := range r.Devices {
		add(true, "%d × %s", d.Count, d.Name)
	}
	add(f.Image != "", "image %s", f.Image)
	return facts
}

func counted(n float64, unit string) string {
	text := strconv.FormatFloat(n, 'f', -1, 64) + " " + unit
	if n != 1 {
		text += "s"
	}
	return text
}

// warmText says how many machines have the image already.
func warmText(w scheduler.Warmth) string {
	switch w.Nodes {
	case 0:
		return ""
	case w.Ready:
		return "Its image is on every machine."
	}
	return fmt.Sprintf("Its image is on %d of %d machines; on another one the start takes longer.", w.Ready, w.Nodes)
}

// outlook says in words whether a profile would start now.
func outlook(f scheduler.Forecast) (text, class string) {
	switch f.Verdict {
	case scheduler.FitsNow:
		return "Fits now.", "fits"
	case scheduler.FitsLater:
		return f.Reason, "waits"
	case scheduler.FitsNever:
		return f.Reason, "never"
	}
	return "", ""
}

// optionsFrom makes user options of a form that was sent: those of the chosen profile under its own names. Fields without a profile's name are what a script
// sends, and stand for themselves.
func optionsFrom(fields url.Values) (json.RawMessage, error) {
	chosen := url.Values{}
	prefix := fields.Get("profile") + fieldSeparator
	for name, values := range fields {
		switch own, ofProfile := strings.CutPrefix(name, prefix); {
		case ofProfile && len(values) > 0:
			chosen[own] = values[len(values)-1:] // a check box comes after the hidden field that says no
		case !strings.Contains(name, fieldSeparator):
			chosen[name] = values
		}
	}
	return optionsOf(chosen)
}

// showForm shows the choice. status says whether it is shown for the first time or because something was wrong with what was sent.
func (h *Web) showForm(w http.ResponseWriter, r *http.Request, status int, s hub.Server, forms []profile.Form, chosen choices, problem string) error {
	p := httpd.Principal(r)
	v := formView{
		chrome: h.chrome(w, r, "Choose a server", ""), Server: h.viewServer(s, time.Now()), Own: own(p, s.UserName),
		Next: h.next(r), Problem: problem, Single: len(forms) == 1, Restart: s.State == hub.Ready,
	}
	at := h.urls.Spawn(s.UserName, s.Name)
	v.Heading = "Choose your server"
	if v.Restart {
		at = h.action("restart", s)
		v.Heading = "Restart with another choice"
	}
	v.Action = withNext(at, v.Next)
	v.Profiles = h.viewProfiles(forms, chosen, at)
	for i, form := range forms {
		v.Profiles[i].Warm = warmText(h.hub.Warmth(r.Context(), form))
	}
	h.addForecasts(r, s, &v)
	return h.show(w, status, "form", v)
}

// forecastPatience is how long the form waits for what the cluster says; what comes later is shown when the page asks again.
const forecastPatience = 700 * time.Millisecond

// addForecasts says of each profile whether it would start now. A form without is still a form.
func (h *Web) addForecasts(r *http.Request, s hub.Server, v *formView) {
	ctx, cancel := context.WithTimeout(r.Context(), forecastPatience)
	defer cancel()
	told, err := h.hub.Forecasts(ctx, s.UserName, s.Name)
	if err != nil {
		h.log.WarnContext(r.Context(), "no forecasts for a form", "err", err)
		return
	}
	if told == nil {
		return
	}
	for i := range v.Profiles {
		f, known := told[v.Profiles[i].Name]
		v.Profiles[i].Forecast, v.Profiles[i].Outlook = outlook(f)
		v.Live = v.Live || !known && ctx.Err() != nil
	}
}
