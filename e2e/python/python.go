// Package python holds the pinned versions of the stock Jupyter software that NomadHub is run and tested with: one file of
// pip requirements per generation of JupyterHub.
//
//	hub3  jupyterhub 3.1 on jupyter-server 1 ("mixin" mode)
//	hub4  jupyterhub 4.1 on jupyter-server 2 (extension mode)
//	hub5  jupyterhub 5 on jupyter-server 2 (extension mode), with a driver for Postgres; `make run` uses this one
//	hub6  jupyterhub 6.0 beta on jupyter-server 2 (extension mode)
//	programs  hub5 with jupyter-server-proxy, for tests of what runs inside servers
//	examples  jupyterhub 5 with the examples of services that its source distribution has, and what they need
//	culler  jupyterhub-idle-culler, a service that stops idle servers through the REST API
//	schemathesis  schemathesis, which makes requests out of an API's description and holds the answers to it
//
// internal/pyenv makes environments of them.
package python

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Names are the environments there are, those of servers first, oldest first.
func Names() []string {
	return []string{"hub3", "hub4", "hub5", "hub6", "programs", "examples", "culler", "schemathesis"}
}

// Examples tells whether an environment comes with the examples that are in JupyterHub's source distribution, and in no wheel.
func Examples(name string) bool { return name == "examples" }

// Requirements returns the pip requirements of one environment.
func Requirements(name string) (string, error) {
	text, err := files.ReadFile(name + ".txt")
	if err != nil {
		return "", fmt.Errorf("there is no Python environment %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return string(text), nil
}
