package nomad

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/nomad/api"
)

// The task events that this package tells apart beside those that Nomad's client package names.
const (
	eventTemplate = "Template"
	eventOOMKey   = "oom_killed"
)

// endingReason says why a job without an allocation of its own ended.
func endingReason(job jobView) string {
	switch {
	case job.ending == endingReplace:
		return "The server was replaced by a newer start of it."
	case job.ending != "":
		return "The server was stopped."
	case job.purged:
		return "The server's job was removed from Nomad. Start the server again."
	}
	return "An operator stopped the server in Nomad. Start it again, or ask them why."
}

// deadReason says why a server ended: its own end first, then what was done to it.
func deadReason(job jobView, alloc *allocView) string {
	if alloc.clientStatus == api.AllocClientStatusLost {
		return "The server's machine" + named(alloc.node) + " was lost, and the server with it. Start it again; what was not saved may be gone."
	}
	if alloc.preempted || alloc.desiredStatus == api.AllocDesiredStatusEvict {
		return "The server had to make room for more important work. Start it again; it waits until there is room."
	}
	if reason := taskReason(alloc); reason != "" {
		return reason
	}
	switch {
	case job.stopped || job.purged:
		return endingReason(job)
	case alloc.rescheduledOrMoving || strings.Contains(alloc.desiredDescription, "migrat"):
		return "An operator emptied the server's machine" + named(alloc.node) + ". Start the server again."
	case alloc.desiredStatus == api.AllocDesiredStatusStop:
		return "An operator stopped the server in Nomad. Start it again, or ask them why."
	case alloc.clientStatus == api.AllocClientStatusComplete:
		return "The server ended by itself."
	}
	return "The server failed: " + sentence(withDefault(alloc.clientDescription, "Nomad gives no reason"))
}

// taskReason finds the task that ended the allocation by itself, or returns "" if all were told to end.
func taskReason(alloc *allocView) string {
	names := make([]string, 0, len(alloc.tasks))
	for name := range alloc.tasks {
		names = append(names, name)
	}
	// The server's own task last: what failed before it (a prestart task) is the cause.
	slices.SortFunc(names, func(a, b string) int {
		if (a == taskName) != (b == taskName) {
			return map[bool]int{true: 1, false: -1}[a == taskName]
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		task := alloc.tasks[name]
		if task == nil || (!task.Failed && name != taskName) {
			continue
		}
		if reason := endOfTask(task.Events, alloc.memoryLimits[name]); reason != "" {
			return reason
		}
	}
	return ""
}

// endOfTask reads a task's events from the oldest and returns the first that says why it ended by itself. Once Nomad began to kill
// the task for an outside reason, its end says nothing more.
func endOfTask(events []*api.TaskEvent, memoryLimit int64) string {
	for _, event := range events {
		if event == nil {
			continue
		}
		switch event.Type {
		case api.TaskDriverFailure, api.TaskSetupFailure, api.TaskFailedValidation:
			return notStarted(sentence(told(event)))
		case api.TaskArtifactDownloadFailed:
			return "Files that the server needs could not be downloaded: " + sentence(told(event))
		case api.TaskTerminated:
			return terminated(event, memoryLimit)
		case api.TaskKilling:
			// A template or a hook that fails for good kills its own task, and says so in the same event.
			if event.Details["fails_task"] == "true" || event.FailsTask {
				return "The server could not be prepared: " + sentence(told(event))
			}
			return ""
		}
	}
	return ""
}

// notStarted tells why a task never ran, and what to do where that is known.
func notStarted(nomadSays string) string {
	if strings.Contains(nomadSays, `hook "consul"`) { // it fetches the pass with which the server is registered
		return "The server's machine could not get access to Consul for it. Try again in a moment, or tell the administrator. Nomad says: " + nomadSays
	}
	return "The server could not be started: " + nomadSays
}

func terminated(event *api.TaskEvent, memoryLimit int64) string {
	exit, signal := detail(event, "exit_code", event.ExitCode), detail(event, "signal", event.Signal)
	switch {
	case event.Details[eventOOMKey] == "true":
		if memoryLimit > 0 {
			return fmt.Sprintf("The server was ended because it used more than its %s of memory. Start it with more memory.", megabytes(memoryLimit))
		}
		return "The server was ended because it used too much memory. Start it with more memory."
	case signal == "9" || exit == "137":
		return "The server was killed (signal 9); most often that means that its machine ran out of memory."
	case signal != "" && signal != "0":
		return "The server was ended by signal " + signal + "."
	case exit == "0":
		return "The server ended by itself (exit code 0)."
	case exit == "126" || exit == "127": // what every shell says of a program that it could not run
		return "The server's program was not found on its machine, or may not be run there (exit code " + exit + "). An operator must mend that."
	case event.Message != "" && !strings.Contains(event.Message, "exit"): // drivers like to repeat the code
		return "The server ended with exit code " + exit + ": " + sentence(event.Message)
	}
	return "The server ended with exit code " + exit + "."
}

// detail returns what an event says of itself under that key; the field of the same meaning is older.
func detail(event *api.TaskEvent, key string, older int) string {
	return withDefault(event.Details[key], fmt.Sprint(older))
}

// waitingReason says what a placed server waits for, where Nomad says so.
func waitingReason(alloc *allocView) string {
	for _, task := range alloc.tasks {
		if task == nil || len(task.Events) == 0 {
			continue
		}
		if last := task.Events[len(task.Events)-1]; last != nil && last.Type == eventTemplate {
			return message(last)
		}
	}
	return ""
}

// message translates a task event into a sentence for a progress page; "" for what tells a user nothing.
func message(event *api.TaskEvent) string {
	switch event.Type {
	case api.TaskReceived:
		return "The machine has taken the server over."
	case api.TaskSetup, api.TaskBuildingTaskDir:
		return "The server's directory is being made."
	case api.TaskDownloadingArtifacts:
		return "Files that the server needs are being downloaded."
	case api.TaskStarted:
		return "The server's process was started."
	case api.TaskTerminated:
		return terminated(event, 0)
	case api.TaskKilling:
		return "The server is being stopped."
	case api.TaskKilled:
		return "The server was stopped."
	case api.TaskRestarting, api.TaskRestartSignal:
		return "The server is being started again."
	case api.TaskDriverFailure, api.TaskSetupFailure, api.TaskFailedValidation, api.TaskArtifactDownloadFailed:
		return endOfTask([]*api.TaskEvent{event}, 0)
	case eventTemplate:
		return "The server waits for its settings: " + sentence(told(event))
	case api.TaskClientReconnected:
		return "The server's machine is back."
	case api.TaskNotRestarting, api.TaskLeaderDead, api.TaskSiblingFailed:
		return ""
	}
	return sentence(told(event))
}

// told returns Nomad's own words for an event.
func told(event *api.TaskEvent) string {
	for _, text := range []string{event.DisplayMessage, event.DriverError, event.SetupError, event.ValidationError, event.DownloadError, event.KillReason, event.Message} {
		if text != "" {
			return text
		}
	}
	return event.Type
}

// maxSentence bounds what is shown of a message that is not ours, in bytes.
const maxSentence = 400

// sentence makes one line of somebody else's text, with a capital and a full stop.
func sentence(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if text == "" {
		return ""
	}
	if len(text) > maxSentence {
		cut := maxSentence
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	return strings.TrimRight(text, ".") + "."
}

func withDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// megabytes writes an amount of memory as people say it.
func megabytes(mb int64) string {
	if mb < 1024 {
		return fmt.Sprintf("%d MB", mb)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(mb)/1024), ".0") + " GB"
}
