package main

import (
	"io"
	"log/slog"

	"github.com/nomadhub/nomadhub/config"
)

func newLogger(w io.Writer, c config.Log) *slog.Logger {
	log, _ := newLeveledLogger(w, c)
	return log
}

// newLeveledLogger also returns what sets another level while the program runs.
func newLeveledLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	setLevel(level, c)
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}

func setLevel(v *slog.LevelVar, c config.Log) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config.Validate has refused anything else
	}
	v.Set(level)
}
