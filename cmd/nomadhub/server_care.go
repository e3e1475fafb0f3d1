package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// careVerbs are what owners do about servers beside starting and stopping them.
func careVerbs() []verb {
	return []verb{
		{"create", "USER [SERVER]", 1, 2, "make a server, without starting it", prepareServerCreate},
		{"change", "USER SERVER", 2, 2, "change a server that is stopped", prepareServerChange},
		{"keep", "USER [SERVER]", 1, 2, "hold off a stop for idleness", plain(keepServer)},
		{"move", "USER [SERVER]", 1, 2, "stop a server and start it again on a machine that takes new work, and wait until it is ready", prepareServerMove},
		{"usage", "USER [SERVER]", 1, 2, "tell what a server uses now", plain(showServerUsage)},
		{"history", "USER [SERVER]", 1, 2, "tell what happened to a server", plain(showHistory)},
	}
}

// serverFields adds the options that say what a server is like, and returns those that were given.
func serverFields(fs *flag.FlagSet) func() (map[string]any, error) {
	display := fs.String("display-name", "", "what people see in place of its name")
	options := fs.String("options", "", "what is chosen, as a JSON object or @FILE: '{\"profile\": \"gpu\"}'")
	return func() (map[string]any, error) {
		body := map[string]any{}
		if *options != "" {
			chosen, err := object("-options", *options)
			if err != nil {
				return nil, err
			}
			body["user_options"] = chosen
		}
		fs.Visit(func(f *flag.Flag) {
			if f.Name == "display-name" {
				body["display_name"] = *display
			}
		})
		return body, nil
	}
}

func prepareServerCreate(fs *flag.FlagSet) action {
	fields := serverFields(fs)
	return func(ctx context.Context, r *remote, args []string) error {
		body, err := fields()
		if err != nil {
			return err
		}
		if _, has := body["user_options"]; !has {
			body["user_options"] = map[string]any{} // else the body would be the options
		}
		raw, err := r.call(ctx, http.MethodPut, serverPath(args), body, nil)
		if err != nil {
			return err
		}
		return r.done(raw, "server of %s created", args[0])
	}
}

func prepareServerChange(fs *flag.FlagSet) action {
	fields := serverFields(fs)
	name := fs.String("name", "", "another name")
	return func(ctx context.Context, r *remote, args []string) error {
		body, err := fields()
		if err != nil {
			return err
		}
		if *name != "" {
			body["name"] = *name
		}
		if len(body) == 0 {
			return misused("say what to change: -name, -display-name or -options")
		}
		raw, err := r.call(ctx, http.MethodPatch, serverPath(args), body, nil)
		if err != nil {
			return err
		}
		return r.done(raw, "server of %s changed", args[0])
	}
}

func keepServer(ctx context.Context, r *remote, args []string) error {
	var kept struct {
		Until moment `json:"keep_until"`
	}
	raw, err := r.call(ctx, http.MethodPost, serverPath(args)+"/keep", nil, &kept)
	if err != nil {
		return err
	}
	return r.done(raw, "server of %s is not stopped for idleness before %s", args[0], kept.Until)
}

func prepareServerMove(fs *flag.FlagSet) action {
	detach := fs.Bool("no-wait", false, "do not wait until it is ready again")
	return func(ctx context.Context, r *remote, args []string) error {
		if _, err := r.call(ctx, http.MethodPost, serverPath(args)+"/move", nil, nil); err != nil {
			return err
		}
		if *detach {
			return r.done(nil, "server of %s is moving", args[0])
		}
		return followServer(ctx, r, args)
	}
}

func showServerUsage(ctx context.Context, r *remote, args []string) error {
	var now struct {
		Time    moment  `json:"time"`
		Cores   float64 `json:"cpu_cores"`
		Memory  int64   `json:"memory_bytes"`
		Limit   *int64  `json:"memory_limit_bytes"`
		Devices []struct {
			Name   string         `json:"name"`
			ID     string         `json:"id"`
			Values map[string]any `json:"values"`
		} `json:"devices"`
	}
	raw, err := r.get(ctx, serverPath(args)+"/usage", &now)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	memory := mebibytes(now.Memory)
	if now.Limit != nil {
		memory += " of " + mebibytes(*now.Limit)
	}
	facts := [][2]string{{"time", now.Time.String()}, {"cores", strconv.FormatFloat(now.Cores, 'f', 2, 64)}, {"memory", memory}}
	for _, d := range now.Devices {
		values, err := json.Marshal(d.Values)
		if err != nil {
			return err
		}
		facts = append(facts, [2]string{strings.TrimSpace(d.Name + " " + d.ID), string(values)})
	}
	return r.facts(facts...)
}

func mebibytes(bytes int64) string {
	const mib = 1 << 20
	return fmt.Sprintf("%d MiB", bytes/mib)
}

func showHistory(ctx context.Context, r *remote, args []string) error {
	var events []struct {
		Time    moment `json:"time"`
		Run     int64  `json:"run"`
		Message string `json:"message"`
		Node    string `json:"node"`
	}
	raw, err := r.get(ctx, serverPath(args)+"/history", &events)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	rows := make([][]string, len(events))
	for i, e := range events {
		rows[i] = []string{e.Time.String(), strconv.FormatInt(e.Run, 10), e.Node, e.Message}
	}
	return r.table([]string{"TIME", "RUN", "MACHINE", "WHAT"}, rows)
}
