package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Names of what is measured.
const (
	ours  = "nomadhub"
	bare  = "nomad" // Nomad's API alone
	stock = "jupyterhub"
)

// key says what was measured; measurements of one key may be compared.
type key struct {
	Operation string `json:"operation"`          // as in docs/how-to/measure.md: O12a, O13 …
	Name      string `json:"name"`               // what of it: cpu_per_start …
	Size      int    `json:"size,omitempty"`     // how many servers there were
	Database  string `json:"database,omitempty"` // sqlite or postgres
	Unit      string `json:"unit"`
}

// measurement is one line of the output.
type measurement struct {
	key
	Subject string    `json:"subject"` // whose it is: nomadhub, or a peer
	Round   int       `json:"round"`
	Value   float64   `json:"value"`
	Quiet   bool      `json:"quiet"`  // nobody else used the machine meanwhile
	Others  float64   `json:"others"` // cores that others used meanwhile
	Time    time.Time `json:"time"`
}

// recorder writes measurements down, and remembers them for the table.
type recorder struct {
	mu       sync.Mutex
	out      io.Writer
	all      []measurement
	versions []version
	about    about
	runs     int      // from which this is
	dates    []string // of these
}

// begins notes where and with what a run was made.
func (r *recorder) begins(a about) {
	r.about = a
	r.runs++
	if !slices.Contains(r.dates, a.Date) {
		r.dates = append(r.dates, a.Date)
	}
}

// version says what took part in a run.
type version struct {
	Name   string `json:"name"`
	Number string `json:"version"`
}

// note remembers a version, once.
func (r *recorder) note(name, number string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := (version{name, strings.TrimSpace(number)}); !slices.Contains(r.versions, v) {
		r.versions = append(r.versions, v)
	}
}

// add records a value of a round; NaN is none.
func (r *recorder) add(k key, subject string, in round, value float64) {
	if math.IsNaN(value) {
		return
	}
	m := measurement{key: k, Subject: subject, Round: in.number, Value: value, Quiet: in.quiet, Others: in.others, Time: time.Now().UTC()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, m)
	line, err := json.Marshal(m)
	if err == nil {
		_, _ = r.out.Write(append(line, '\n'))
	}
}

// values are what was measured of a key, the quiet rounds' only if there are at least three of them. quiet tells whether all of them are.
func (r *recorder) values(k key, subject string) (values []float64, quiet bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var calm, all []float64
	for _, m := range r.all {
		if m.key != k || m.Subject != subject {
			continue
		}
		all = append(all, m.Value)
		if m.Quiet {
			calm = append(calm, m.Value)
		}
	}
	if len(calm) >= 3 || len(calm) == len(all) {
		return calm, true
	}
	return all, false
}

// keys are all that something was measured of, in the order of the first measurements.
func (r *recorder) keys() (keys []key, subjects map[key][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	subjects = map[key][]string{}
	for _, m := range r.all {
		if subjects[m.key] == nil {
			keys = append(keys, m.key)
		}
		if !slices.Contains(subjects[m.key], m.Subject) {
			subjects[m.key] = append(subjects[m.key], m.Subject)
		}
	}
	return keys, subjects
}

// table prints medians and ranges, and the ratio to each peer that was measured in this run.
func (r *recorder) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "operation\tmeasure\tservers\tdatabase\twho\tmedian\trange\tn\tunit\tours/theirs\t95 %\tmachine")
	keys, subjects := r.keys()
	for _, k := range keys {
		own, _ := r.values(k, ours)
		for _, subject := range subjects[k] {
			values, quiet := r.values(k, subject)
			s := spread(values)
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s to %s\t%d\t%s\t", k.Operation, k.Name, k.Size, k.Database, subject,
				number(median(values)), number(s.Low), number(s.High), len(values), k.Unit)
			if subject != ours && len(own) > 0 && median(values) != 0 {
				i := ratioInterval(own, values)
				fmt.Fprintf(t, "%s\t%s to %s\t", number(median(own)/median(values)), number(i.Low), number(i.High))
			} else {
				fmt.Fprint(t, "\t\t")
			}
			fmt.Fprintln(t, map[bool]string{true: "quiet", false: "NOT QUIET"}[quiet])
		}
	}
	return t.Flush()
}

// number writes three digits that count.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", v), "0"), ".")
	}
}
