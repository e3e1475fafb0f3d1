package nomad_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	remove = http.MethodDelete
)

// rootJob is what somebody who may submit jobs owns a machine with.
const rootJob = `{"Job":{"ID":"notebook-f34","Namespace":"notebooks","Type":"batch","Datacenters":["*"],"TaskGroups":[{"Name":"g","Count":1,"Tasks":[` +
	`{"Name":"t","Driver":"raw_exec","User":"root","Config":{"command":"/bin/true"},"Resources":{"CPU":20,"MemoryMB":32}}]}]}}`

func (a *attacker) attackNomad() {
	addresses := append([]string{"unix://" + filepath.Join(os.Getenv("NOMAD_SECRETS_DIR"), "api.sock")}, a.Nomad...)
	variable := func(job string) string {
		return fmt.Sprintf(`{"Namespace":%q,"Path":"nomad/jobs/%s","Items":{"a":"b"}}`, namespace, job)
	}
	ns, other, alloc := "?namespace="+namespace, a.OtherJob, a.OtherAlloc
	for _, r := range []request{
		{name: "list notebooks", method: get, path: "/v1/jobs" + ns},
		{name: "list all jobs", method: get, path: "/v1/jobs?namespace=*"},
		{name: "read the own job", method: get, path: "/v1/job/" + a.OwnJob + ns},
		{name: "read the other's job", method: get, path: "/v1/job/" + other + ns},
		{name: "read the hub's job", method: get, path: "/v1/job/nomadhub?namespace=nomadhub"},
		{name: "plan a job", method: post, path: "/v1/job/notebook-f34/plan" + ns, body: rootJob},
		{name: "submit a job", method: post, path: "/v1/jobs" + ns, body: rootJob},
		{name: "stop the other's job", method: remove, path: "/v1/job/" + other + ns},
		{name: "list variables", method: get, path: "/v1/vars" + ns, find: other},
		{name: "read the own variable", method: get, path: "/v1/var/nomad/jobs/" + a.OwnJob + ns},
		{name: "write the own variable", method: put, path: "/v1/var/nomad/jobs/" + a.OwnJob + ns, body: variable(a.OwnJob)},
		{name: "read the other's variable", method: get, path: "/v1/var/nomad/jobs/" + other + ns},
		{name: "write the other's variable", method: put, path: "/v1/var/nomad/jobs/" + other + ns, body: variable(other)},
		{name: "delete the other's variable", method: remove, path: "/v1/var/nomad/jobs/" + other + ns},
		{name: "list allocations", method: get, path: "/v1/allocations" + ns},
		{name: "read the other's allocation", method: get, path: "/v1/allocation/" + alloc},
		{name: "stop the other's allocation", method: post, path: "/v1/allocation/" + alloc + "/stop"},
		{name: "restart the other", method: put, path: "/v1/client/allocation/" + alloc + "/restart", body: "{}"},
		{name: "read the other's log", method: get, path: "/v1/client/fs/logs/" + alloc + "?task=notebook&type=stdout&plain=true"},
		{name: "list the other's files", method: get, path: "/v1/client/fs/ls/" + alloc + "?path=/"},
		{name: "read the other's secrets", method: get, path: "/v1/client/fs/cat/" + alloc + "?path=notebook/secrets/nomadhub.env"},
		{name: "measure the other", method: get, path: "/v1/client/allocation/" + alloc + "/stats"},
		{name: "list evaluations", method: get, path: "/v1/evaluations" + ns},
		{name: "search", method: post, path: "/v1/search" + ns, body: `{"Prefix":"notebook","Context":"jobs"}`, find: other},
		{name: "follow events", method: get, path: "/v1/event/stream" + ns},
		{name: "list services", method: get, path: "/v1/services" + ns, find: other},
		{name: "list machines", method: get, path: "/v1/nodes"},
		{name: "read a machine", method: get, path: "/v1/node/" + a.Node},
		{name: "drain a machine", method: post, path: "/v1/node/" + a.Node + "/drain", body: `{"DrainSpec":{"Deadline":1}}`},
		{name: "list volumes", method: get, path: "/v1/volumes?type=host&namespace=" + namespace},
		{name: "delete the other's volume", method: remove, path: "/v1/volume/host/" + a.OtherVolume + "/delete" + ns},
		{name: "list tokens", method: get, path: "/v1/acl/tokens"},
		{name: "make a token", method: post, path: "/v1/acl/token", body: `{"Name":"f34","Type":"management"}`},
		{name: "read the hub's policy", method: get, path: "/v1/acl/policy/nomadhub"},
		{name: "list namespaces", method: get, path: "/v1/namespaces", find: "nomadhub"},
		{name: "read the agent's configuration", method: get, path: "/v1/agent/self"},
		{name: "follow the agent's log", method: get, path: "/v1/agent/monitor"},
		{name: "read the scheduler's configuration", method: get, path: "/v1/operator/scheduler/configuration"},
		{name: "take a snapshot", method: get, path: "/v1/operator/snapshot"},
		{name: "collect garbage", method: put, path: "/v1/system/gc"},
	} {
		a.ask("Nomad", addresses, "X-Nomad-Token", r)
	}
	a.execOther(addresses)
}

func (a *attacker) attackConsul() {
	for name, jwt := range a.jwts() {
		body := fmt.Sprintf(`{"AuthMethod":"nomad-workloads","BearerToken":%q}`, jwt)
		if token := a.login(a.Consul, "/v1/acl/login", body, func(made login) string { return made.SecretID }); token != "" {
			a.tokens["Consul login by "+name] = token
		}
	}
	service := fmt.Sprintf(`{"Name":%q,"Address":"127.0.0.1","Port":1}`, a.OtherService)
	for _, r := range []request{
		{name: "ask who leads", method: get, path: "/v1/status/leader"},
		{name: "list services", method: get, path: "/v1/catalog/services", find: "notebook"},
		{name: "find the other's server", method: get, path: "/v1/health/service/" + a.OtherService},
		{name: "register as the other's server", method: put, path: "/v1/agent/service/register", body: service},
		{name: "register in the catalog", method: put, path: "/v1/catalog/register", body: `{"Node":"f34","Address":"127.0.0.1","Service":` + strings.Replace(service, "Name", "Service", 1) + `}`},
		{name: "read a binding of the hub", method: get, path: "/v1/kv/" + hubsKey},
		{name: "list bindings of the hub", method: get, path: "/v1/kv/nomadhub/?recurse", refusal: http.StatusNotFound},
		{name: "write a binding of the hub", method: put, path: "/v1/kv/" + hubsKey, body: "forged"},
		{name: "delete bindings of the hub", method: remove, path: "/v1/kv/nomadhub/?recurse"},
		{name: "list tokens", method: get, path: "/v1/acl/tokens"},
		{name: "read the hub's policy", method: get, path: "/v1/acl/policy/name/nomadhub"},
		{name: "list members", method: get, path: "/v1/agent/members"},
		{name: "read the agent's configuration", method: get, path: "/v1/agent/self"},
		{name: "take a snapshot", method: get, path: "/v1/snapshot"},
		{name: "make a session", method: put, path: "/v1/session/create", body: `{"Name":"f34"}`},
	} {
		a.ask("Consul", a.Consul, "X-Consul-Token", r)
	}
}

func (a *attacker) attackVault() {
	for name, jwt := range a.jwts() {
		body := fmt.Sprintf(`{"role":"nomad-workloads","jwt":%q}`, jwt)
		if token := a.login(a.Vault, "/v1/auth/jwt-nomad/login", body, func(made login) string { return made.Auth.ClientToken }); token != "" {
			a.tokens["Vault login by "+name] = token
		}
		a.ask("Vault", a.Vault, "X-Ignored", request{
			name: "log in as the hub with " + name, method: post, path: "/v1/auth/jwt-nomad/login", body: fmt.Sprintf(`{"role":"nomadhub","jwt":%q}`, jwt), refusal: http.StatusBadRequest,
		})
	}
	for _, r := range []request{
		{name: "read the hub's keys", method: get, path: "/v1/secret/data/nomadhub/keys"},
		{name: "read the hub's database", method: get, path: "/v1/secret/data/nomadhub/postgres"},
		{name: "list the hub's secrets", method: get, path: "/v1/secret/metadata/nomadhub?list=true"},
		{name: "change the hub's keys", method: post, path: "/v1/secret/data/nomadhub/keys", body: `{"data":{"a":"b"}}`},
		{name: "read the own secrets", method: get, path: "/v1/secret/data/notebooks/" + a.OwnJob},
		{name: "read the other's secrets", method: get, path: "/v1/secret/data/notebooks/" + a.OtherJob},
		{name: "get the hub's Nomad token", method: get, path: "/v1/nomad/creds/nomadhub"},
		{name: "read the hub's role", method: get, path: "/v1/auth/jwt-nomad/role/nomadhub"},
		{name: "change the hub's role", method: post, path: "/v1/auth/jwt-nomad/role/nomadhub", body: `{"bound_claims":{}}`},
		{name: "list ways to log in", method: get, path: "/v1/sys/auth"},
		{name: "list engines", method: get, path: "/v1/sys/mounts"},
		{name: "read the hub's policy", method: get, path: "/v1/sys/policies/acl/nomadhub"},
		{name: "write a policy", method: put, path: "/v1/sys/policies/acl/f34", body: `{"policy":"path \"*\" { capabilities = [\"read\"] }"}`},
		{name: "make a token", method: post, path: "/v1/auth/token/create", body: `{"policies":["nomadhub"]}`},
	} {
		a.ask("Vault", a.Vault, "X-Vault-Token", r)
	}
}

func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// jwts are the proofs of identity among the tokens.
func (a *attacker) jwts() map[string]string {
	all := map[string]string{}
	for name, token := range a.tokens {
		if isJWT(token) {
			all[name] = token
		}
	}
	return all
}

// login is what Consul and Vault answer with a token in it.
type login struct {
	SecretID string
	Auth     struct {
		ClientToken string `json:"client_token"`
	}
}

// login shows a proof of identity, and returns the token that it gives, or "".
func (a *attacker) login(addresses []string, path, body string, token func(login) string) string {
	for _, address := range addresses {
		res, err := a.client.Post(address+path, "application/json", strings.NewReader(body))
		if err != nil {
			continue // the probes that follow tell of it
		}
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		_ = res.Body.Close()
		var made login
		if json.Unmarshal(text, &made) == nil && token(made) != "" {
			return token(made)
		}
	}
	return ""
}
