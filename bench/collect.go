package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// origin says where and with what a run was made: the first line of the output, and, with the versions of all that took part, the last.
type origin struct {
	About    *about    `json:"about,omitempty"`
	Versions []version `json:"versions,omitempty"`
}

// line is any line of the output.
type line struct {
	measurement
	origin
}

// collect reads what earlier runs have written. What several of them measured of the hub counts from the last alone, with the peers' of that run, so that a ratio is of
// one run.
func collect(files []string) (*recorder, error) {
	r := &recorder{}
	for _, file := range files {
		lines, err := readLines(file)
		if err != nil {
			return nil, err
		}
		before, again := hubs(r.all), map[key]bool{}
		for _, l := range lines {
			if l.Subject == ours {
				again[l.key] = true
			}
		}
		r.all = slices.DeleteFunc(r.all, func(m measurement) bool { return again[m.key] })
		for _, l := range lines {
			if l.About != nil {
				r.begins(*l.About)
			}
			for _, v := range l.Versions {
				r.note(v.Name, v.Number)
			}
			if l.Operation != "" && (again[l.key] || !before[l.key]) {
				r.all = append(r.all, l.measurement)
			}
		}
	}
	if len(r.all) == 0 {
		return nil, errors.New("-from: there is no measurement in these files")
	}
	return r, nil
}

// hubs are the keys of which the hub itself was measured.
func hubs(all []measurement) map[key]bool {
	keys := map[key]bool{}
	for _, m := range all {
		if m.Subject == ours {
			keys[m.key] = true
		}
	}
	return keys
}

func readLines(file string) ([]line, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-from: %w", err)
	}
	var lines []line
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		var l line
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("-from: %s, line %d: %w", file, len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// writeOrigin writes what is known of it by now; nil: where it was has been written.
func (r *recorder) writeOrigin(a *about) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text, err := json.Marshal(origin{a, r.versions}); err == nil {
		_, _ = r.out.Write(append(text, '\n'))
	}
}
