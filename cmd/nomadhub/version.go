package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/nomadhub/nomadhub/hub"
)

// version is set by the linker in released binaries.
var version = "dev"

func runVersion(_ context.Context, _ []string, std streams) error {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	_, err := fmt.Fprintf(std.out, "nomadhub %s (revision %s, %s), speaks as JupyterHub %s\n", version, revision, runtime.Version(), hub.Version)
	return err
}
