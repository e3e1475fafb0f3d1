package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
)

// writeEnvironment writes a file for a shell that wants to look behind the hub with nomad, consul and vault. It holds the
// management tokens, so only this account may read it.
func (c *cluster) writeEnvironment() (path string, err error) {
	s := c.stack
	var b strings.Builder
	for _, kv := range [][2]string{
		{"NOMAD_ADDR", s.Nomad.Address}, {"NOMAD_TOKEN", s.Nomad.Token},
		{"CONSUL_HTTP_ADDR", s.Consul.Address}, {"CONSUL_HTTP_TOKEN", s.Consul.Token},
		{"VAULT_ADDR", s.Vault.Address}, {"VAULT_TOKEN", s.Vault.Token},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", kv[0], kv[1])
	}
	path = filepath.Join(s.Dir, "env")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

func (c *cluster) welcome(environment string) {
	s := c.stack
	fmt.Fprintf(c.out, "\nNomadHub runs on Nomad. Open %s/ and log in with \"Example organisation\":\n\n", c.publicURL())
	for _, u := range s.Dex.Users {
		fmt.Fprintf(c.out, "    %-18s  password %-14s  %s\n", u.Email(), u.Password, role(u.Name, u.Groups))
	}
	fmt.Fprintf(c.out, `
Behind it:
    Nomad   %s/ui/   (jobs %s in namespace %s, and users' servers in %s)
    Consul  %s
    Vault   %s
    logs    %s, and in %s the users' files (both go with the cluster, unless -dir names a folder)
    tokens for all three:  . %s

Ctrl-C stops all of it.
`, s.Nomad.Address, hubjob.JobID, hubjob.Namespace, hubjob.NotebookNamespace, s.Consul.Address, s.Vault.Address,
		filepath.Join(s.Dir, "log"), filepath.Join(s.Dir, "home"), environment)
}

func role(name string, groups []string) string {
	if name == "ada" {
		return "an administrator"
	}
	if slices.Contains(groups, "researchers") {
		return "a user"
	}
	return "is refused: in no group that may enter"
}
