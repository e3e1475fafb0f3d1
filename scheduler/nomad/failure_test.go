package nomad

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// TestF13FailuresOfDrivers tells for what drivers, registries and hooks say, as Nomad hands it on in a task's event, how a user reads it.
func TestF13FailuresOfDrivers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, event, says string
		cause             scheduler.Cause
		reason            string // part of it
	}{
		{
			"the registry does not have the tag", api.TaskDriverFailure,
			"Failed to pull `registry.example.org/lab:9`: Error response from daemon: manifest for registry.example.org/lab:9 not found: manifest unknown: manifest unknown",
			scheduler.CauseImageMissing, "The server's image registry.example.org/lab:9 does not exist in its registry.",
		},
		{
			"the engine has no such image after the pull", api.TaskDriverFailure, "Error response from daemon: No such image: registry.example.org/x/none:1",
			scheduler.CauseImageMissing, "The server's image registry.example.org/x/none:1 does not exist in its registry.",
		},
		{
			"no name of an image", api.TaskDriverFailure, "unable to pull docker image \"Not A Name\": invalid reference format: repository name (library/Not A Name) must be lowercase",
			scheduler.CauseImageMissing, "The server's image Not A Name does not exist",
		},
		{
			"a registry that wants a login", api.TaskDriverFailure,
			"Failed to pull `registry.example.org/private/lab:1`: Error response from daemon: unauthorized: access to the requested resource is not authorized",
			scheduler.CauseImageRefused, "The registry refused the server's image registry.example.org/private/lab:1",
		},
		{
			"a registry that hides what it has", api.TaskDriverFailure,
			"Failed to pull `private/lab:1`: Error response from daemon: pull access denied for private/lab, repository does not exist or may require 'docker login': denied",
			scheduler.CauseImageRefused, "The registry refused the server's image private/lab:1",
		},
		{
			"a registry that is not there", api.TaskDriverFailure,
			"Failed to pull `127.0.0.1:1/lab:1`: Error response from daemon: Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
			scheduler.CauseImageRefused, "could not be reached",
		},
		{
			"a registry that limits", api.TaskDriverFailure, "Failed to pull `lab:1`: Error response from daemon: toomanyrequests: You have reached your pull rate limit.",
			scheduler.CauseImageRefused, "Try again later",
		},
		{
			"a pull that takes too long", api.TaskDriverFailure, "Failed to pull `lab:1`: context deadline exceeded",
			scheduler.CausePullSlow, "The server's image lab:1 was not there in time.",
		},
		{
			"a pull that stands still", api.TaskDriverFailure, "Failed to pull `lab:1`: context canceled",
			scheduler.CausePullSlow, "was not there in time",
		},
		{
			"podman", api.TaskDriverFailure,
			"rpc error: code = Unknown desc = failed to create image: docker.io/library/none:1: failed to start task, could not pull image docker.io/library/none:1, error: initializing source docker://none:1: reading manifest 1 in docker.io/library/none: manifest unknown",
			scheduler.CauseImageMissing, "does not exist in its registry",
		},
		{
			"no engine", api.TaskDriverFailure, "Failed to pull `lab:1`: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
			scheduler.CauseDriver, "it may come to another machine",
		},
		{
			"a published port that is taken", api.TaskDriverFailure,
			"Failed to start container 0123: API error (500): driver failed programming external connectivity on endpoint lab: Bind for 127.0.0.1:8888 failed: port is already allocated",
			scheduler.CausePort, "A port of the server is taken on its machine.",
		},
		{
			"no program in the image", api.TaskDriverFailure,
			`Failed to start container 0123: Error response from daemon: OCI runtime create failed: exec: "jupyterhub-singleuser": executable file not found in $PATH: unknown`,
			scheduler.CauseMisconfigured, "was not found on its machine or in its image",
		},
		{
			"no account in the image", api.TaskDriverFailure, "Failed to start container 0123: Error response from daemon: unable to find user ada: no matching entries in passwd file",
			scheduler.CauseMisconfigured, `There is no account "ada"`,
		},
		{
			"volumes switched off", api.TaskDriverFailure, `Failed to create container configuration for image "x" ("sha256:0"): volumes are not enabled; cannot mount volume: "pip-cache"`,
			scheduler.CauseVolume, "A volume of the server could not be attached",
		},
		{
			"a CSI volume that cannot be claimed", api.TaskSetupFailure,
			`failed to setup alloc: pre-run hook "csi_hook" failed: claiming volumes: could not claim volume team: rpc error: controller publish: volume is already attached to node-2`,
			scheduler.CauseVolume, "A volume of the server could not be attached to it. Try again in a moment",
		},
		{
			"a CSI volume that its plugin does not attach", api.TaskSetupFailure,
			`failed to setup alloc: pre-run hook "csi_hook" failed: claiming volumes: could not claim volume home: rpc error: controller publish: attach volume: ` +
				`controller attach volume: CSI.ControllerAttachVolume: controller plugin returned an internal error, check the plugin allocation logs for more information: ` +
				`rpc error: code = Internal desc = the pool ssd is read only, token=abc`,
			scheduler.CauseVolume, "could not be attached to it. Try again in a moment; if it stays so, tell the administrator. The storage says: The pool ssd is read only, token=….",
		},
		{
			"a host volume that the machine lost", api.TaskSetupFailure, `task hook "volumes" failed: 1 error occurred: * no host volume named: home-u1`,
			scheduler.CauseVolume, "A volume of the server could not be attached",
		},
		{
			"no pass for Vault", api.TaskSetupFailure, `prestart hook "vault" failed: failed to derive Vault token for task: role "notebook" could not be found`,
			scheduler.CauseSettings, "The server's secrets could not be fetched.",
		},
		{
			"a driver that died", api.TaskDriverFailure, "failed to start task: plugin is shut down; driver plugin exited",
			scheduler.CauseDriver, "What runs servers on this machine does not work.",
		},
		{
			"an option that the driver does not have", api.TaskFailedValidation, "failed to parse config: * Invalid label: No argument or block type is named \"cpus\".",
			scheduler.CauseMisconfigured, "The machine does not accept the settings",
		},
		{
			"what nobody has seen before", api.TaskDriverFailure, "rpc error: code = Unknown desc = 1 error occurred:\n\t* the frobnicator is on fire\n\n",
			scheduler.CauseDriver, "The server could not be started. Tell the administrator. Nomad says: The frobnicator is on fire.",
		},
	}
	for _, c := range cases {
		event := &api.TaskEvent{Type: c.event, DisplayMessage: c.says}
		got := endOfTask([]*api.TaskEvent{event}, 0)
		if told := message(event); !strings.HasPrefix(told, got.reason) || !strings.Contains(told, "Nomad says: ") {
			t.Errorf("%s: the history does not quote Nomad: %q", c.name, told)
		}
		if known := c.name != "what nobody has seen before"; known == strings.Contains(got.reason, "Nomad says: ") {
			t.Errorf("%s: the reason quotes Nomad, or does not where nothing else is known: %q", c.name, got.reason)
		}
		if got.cause != c.cause || !strings.Contains(got.reason, c.reason) || !oneSentence.MatchString(got.reason) {
			t.Errorf("%s: %q, %q; want %q with %q", c.name, got.cause, got.reason, c.cause, c.reason)
		}
		for _, raw := range []string{"rpc error", "desc =", "hook \"", "daemon:", "\n"} {
			if strings.Contains(got.reason, raw) {
				t.Errorf("%s: the reason has %q: %q", c.name, raw, got.reason)
			}
		}
	}
}

func TestReasonsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	for _, says := range []string{
		"failed to download artifact https://ada:hunter2@files.example.org/x.tgz: 404",
		"Get \"https://files.example.org/x.tgz?X-Amz-Signature=hunter2&x=y\": 403",
		"PUT https://vault.example.org/v1/auth: X-Vault-Token: hunter2 refused",
		`Authorization: Bearer hunter2`, `request failed, password="hunter2"`, `token=hunter2`,
	} {
		for _, kind := range []string{api.TaskDriverFailure, api.TaskArtifactDownloadFailed, api.TaskSetupFailure, "Template", "Other"} {
			event := &api.TaskEvent{Type: kind, DisplayMessage: says}
			for _, text := range []string{endOfTask([]*api.TaskEvent{event}, 0).reason, message(event)} {
				if strings.Contains(text, "hunter2") {
					t.Errorf("%s: %q", kind, text)
				}
			}
		}
	}
}

func TestTheLastEndCounts(t *testing.T) {
	t.Parallel()
	ended := func(code string) *api.TaskEvent {
		return &api.TaskEvent{Type: api.TaskTerminated, Details: map[string]string{"exit_code": code, "signal": "0"}}
	}
	restarting := &api.TaskEvent{Type: api.TaskRestarting}
	if got := endOfTask([]*api.TaskEvent{ended("3"), restarting, nil, ended("4"), {Type: api.TaskNotRestarting}}, 0); !strings.Contains(got.reason, "exit code 4") {
		t.Errorf("after a restart: %+v", got)
	}
	if got := endOfTask([]*api.TaskEvent{ended("3"), restarting, {Type: api.TaskKilling}}, 0); got != (why{}) {
		t.Errorf("killed after a restart: %+v", got)
	}
}

func TestBlockedCauses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		metric   api.AllocationMetric
		cause    scheduler.Cause
		resource string
		filtered bool
		reason   string
	}{
		"memory": {
			api.AllocationMetric{NodePool: "gpu", NodesEvaluated: 2, NodesExhausted: 2, DimensionExhausted: map[string]int{"memory": 2}},
			scheduler.CauseExhausted, "memory", false, "memory asked, none of 2 nodes has it free.",
		},
		"devices": {
			api.AllocationMetric{NodesEvaluated: 2, NodesExhausted: 2, DimensionExhausted: map[string]int{"devices: no devices match request": 2}},
			scheduler.CauseExhausted, "device", false, "a device asked",
		},
		"whole cores": {
			api.AllocationMetric{NodesEvaluated: 1, NodesExhausted: 1, DimensionExhausted: map[string]int{"cores": 1}, ResourcesExhausted: map[string]*api.Resources{"notebook": {Cores: new(2)}}},
			scheduler.CauseExhausted, "cpu", false, "2 whole processor cores asked, the only node does not have it free.",
		},
		"a fixed port": {
			api.AllocationMetric{NodesEvaluated: 1, NodesExhausted: 1, DimensionExhausted: map[string]int{"network: reserved port collision http=8888": 1}},
			scheduler.CausePort, "port", false, "port 8888 asked, the only node does not have it free.",
		},
		"driver": {
			api.AllocationMetric{NodePool: "gpu", NodesEvaluated: 3, NodesFiltered: 3, ConstraintFiltered: map[string]int{"missing drivers": 1, filterClass: 2}},
			scheduler.CauseDriver, "", true, "none of 3 nodes has the driver that runs it in pool gpu.",
		},
		"host volume": {
			api.AllocationMetric{NodesEvaluated: 1, NodesFiltered: 1, ConstraintFiltered: map[string]int{filterVolumes: 1}},
			scheduler.CauseVolume, "volume", true, "the only node does not have its volume, or it is in use.",
		},
		"CSI volume in use": {
			api.AllocationMetric{NodesEvaluated: 1, NodesFiltered: 1, ConstraintFiltered: map[string]int{"CSI volume home has exhausted its available writer claims": 1}},
			scheduler.CauseVolume, "volume", false, "its volume cannot be used on the only node.",
		},
		"no CSI volume": {
			api.AllocationMetric{NodesEvaluated: 1, NodesFiltered: 1, ConstraintFiltered: map[string]int{"missing CSI Volume home": 1}},
			scheduler.CauseVolume, "volume", true, "its volume cannot be used on the only node.",
		},
		"device": {
			api.AllocationMetric{NodesEvaluated: 1, NodesFiltered: 1, ConstraintFiltered: map[string]int{filterDevices: 1}},
			scheduler.CauseConstraint, "device", true, "the only node does not have the device that it asks for.",
		},
		"conditions": {
			api.AllocationMetric{NodesEvaluated: 2, NodesFiltered: 2, ConstraintFiltered: map[string]int{"${attr.cpu.arch} = arm64": 1, "${meta.x} is_set ": 1}},
			scheduler.CauseConstraint, "", true, "none of 2 nodes fulfils the job's condition: attr.cpu.arch = arm64, meta.x is_set.",
		},
		"nobody": {
			api.AllocationMetric{NodePool: "gpu"}, scheduler.CauseConstraint, "", true, "none is ready that may run notebooks in pool gpu.",
		},
	}
	for name, c := range cases {
		got := obstacleOf(map[string]*api.AllocationMetric{"notebook": &c.metric})
		if got.cause != c.cause || got.resource != c.resource || got.filtered != c.filtered || !strings.HasPrefix(got.reason, c.reason) {
			t.Errorf("%s: got %+v, want %+v", name, *got, c)
		}
	}
}
