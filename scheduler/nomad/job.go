package nomad

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// The keys of a job's metadata that this package reads back.
const (
	metaServer     = "nomadhub_server"
	metaGeneration = "nomadhub_generation"
	// metaHome is for jobspecs: it names the files that the server works on; see scheduler.Spec.
	metaHome = "nomadhub_home"
	// metaEnding says why this package stopped the job: endingReplace or endingRemove.
	metaEnding = "nomadhub_ending"
	// metaRegistered is the job's modify index when the generation that was stopped had been registered.
	metaRegistered = "nomadhub_registered"
	metaLabel      = "nomadhub_label_"
	// metaAllocation is a key of the service's metadata only.
	metaAllocation = "nomadhub_allocation"
)

const (
	taskName  = scheduler.ServerTask
	portLabel = scheduler.ServerPort
)

// fill sets everything that differs from server to server, all of it as typed values, so that nothing a user typed is parsed.
// What the user typed goes where Nomad does not even interpolate it: into the variable (see variable.go).
func (s *Scheduler) fill(job *api.Job, spec scheduler.Spec) error {
	group, task, err := notebookTask(job)
	if err != nil {
		return err
	}
	id := s.jobID(spec.ID)
	job.ID, job.Name = &id, &id
	job.Namespace = &s.opts.Namespace
	if s.opts.Region != "" {
		job.Region = &s.opts.Region
	}
	job.Meta = metadata(job.Meta, spec)
	group.Count = new(1)

	if err := (overlay{job, group, task, spec}).apply(); err != nil {
		return err
	}
	setService(group, task, spec)
	if spec.URLVariable != "" {
		if task.Env == nil {
			task.Env = make(map[string]string)
		}
		task.Env[spec.URLVariable] = "http://" + cmp.Or(s.opts.BindAddress, bindAddress(group, task)) + ":${NOMAD_ALLOC_PORT_" + portLabel + "}" + spec.URLPath
	}
	if s.opts.StopTimeout > 0 && spec.Workload.StopTimeout == 0 {
		task.KillTimeout = new(s.opts.StopTimeout)
	}
	task.Templates = append(task.Templates, environmentTemplate(s.variablePath(spec.ID)))
	return nil
}

// notebookTask finds the one task of a jobspec that is the server.
func notebookTask(job *api.Job) (*api.TaskGroup, *api.Task, error) {
	fail := func(format string, args ...any) (*api.TaskGroup, *api.Task, error) {
		detail := fmt.Sprintf(format, args...)
		return nil, nil, misconfigured(detail, fmt.Errorf("jobspec: %s", detail))
	}
	if job.IsParameterized() || job.IsPeriodic() {
		return fail("a job that is parameterized or periodic does not run when it is registered")
	}
	if len(job.TaskGroups) != 1 {
		return fail("it has %d groups and needs one", len(job.TaskGroups))
	}
	group := job.TaskGroups[0]
	if !hasPort(group, portLabel) {
		return fail("its group has no port labelled %q", portLabel)
	}
	if len(group.Tasks) == 1 {
		return group, group.Tasks[0], nil
	}
	at := slices.IndexFunc(group.Tasks, func(t *api.Task) bool { return t.Name == taskName })
	if at < 0 {
		return fail("it has %d tasks and none of them is named %q", len(group.Tasks), taskName)
	}
	return group, group.Tasks[at], nil
}

func hasPort(group *api.TaskGroup, label string) bool {
	for _, network := range group.Networks {
		for _, port := range slices.Concat(network.DynamicPorts, network.ReservedPorts) {
			if port.Label == label {
				return true
			}
		}
	}
	return false
}

// bindAddress is where a server must listen to be reached at its port: at the address that the port was allocated on, unless the server has a
// network of its own, in which that address does not exist.
func bindAddress(group *api.TaskGroup, task *api.Task) string {
	for _, network := range group.Networks {
		if network.Mode == "bridge" || strings.HasPrefix(network.Mode, "cni/") {
			return allAddresses
		}
	}
	// Drivers of containers publish the ports that their own "ports" names, and only if the container is not on its machine's network.
	ports, _ := task.Config["ports"].([]any)
	if slices.Contains(ports, any(portLabel)) && task.Config["network_mode"] != "host" {
		return allAddresses
	}
	return "${NOMAD_IP_" + portLabel + "}"
}

const allAddresses = "0.0.0.0"

// metadata adds the server's own to the operator's.
func metadata(own map[string]string, spec scheduler.Spec) map[string]string {
	meta := make(map[string]string, len(own)+len(spec.Labels)+3)
	maps.Copy(meta, own)
	for name, value := range spec.Labels {
		meta[metaLabel+name] = value
	}
	meta[metaServer] = spec.ID
	meta[metaGeneration] = strconv.FormatInt(spec.Generation, 10)
	meta[metaHome] = cmp.Or(spec.Home, spec.ID)
	return meta
}

// setService names the registration and says whose it is. The metadata alone proves nothing (any job can copy it).
func setService(group *api.TaskGroup, task *api.Task, spec scheduler.Spec) {
	isOurs := func(service *api.Service) bool { return service.PortLabel == portLabel }
	if spec.Service == "" {
		group.Services = slices.DeleteFunc(group.Services, isOurs)
		task.Services = slices.DeleteFunc(task.Services, isOurs)
		return
	}
	var service *api.Service
	for _, candidate := range slices.Concat(group.Services, task.Services) {
		if isOurs(candidate) {
			service = candidate
			break
		}
	}
	if service == nil {
		service = &api.Service{PortLabel: portLabel, Provider: "consul"}
		group.Services = append(group.Services, service)
	}
	service.Name = spec.Service
	if service.Meta == nil {
		service.Meta = make(map[string]string)
	}
	service.Meta[metaServer] = spec.ID
	service.Meta[metaGeneration] = strconv.FormatInt(spec.Generation, 10)
	service.Meta[metaAllocation] = "${NOMAD_ALLOC_ID}"
	setCheck(service, spec.HealthPath)
}

func setCheck(service *api.Service, path string) {
	isHTTP := func(check api.ServiceCheck) bool { return strings.EqualFold(check.Type, "http") }
	if path == "" {
		service.Checks = slices.DeleteFunc(service.Checks, isHTTP)
		return
	}
	at := slices.IndexFunc(service.Checks, isHTTP)
	if at < 0 {
		service.Checks = append(service.Checks, api.ServiceCheck{Type: "http"})
		at = len(service.Checks) - 1
	}
	check := &service.Checks[at]
	check.Path = path
	check.Interval = cmp.Or(check.Interval, 5*time.Second)
	check.Timeout = cmp.Or(check.Timeout, 3*time.Second)
}
