package nomad

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// The task events that this package tells apart beside those that Nomad's client package names.
const (
	eventTemplate = "Template"
	eventOOMKey   = "oom_killed"
)

// why is a reason for people together with its cause for programs. Its zero value says nothing.
type why struct {
	reason string
	cause  scheduler.Cause
}

func (w why) apart() (string, scheduler.Cause) { return w.reason, w.cause }

// endingReason says why a job without an allocation of its own ended.
func endingReason(job jobView) why {
	switch {
	case job.ending == endingReplace:
		return why{"The server was replaced by a newer start of it.", scheduler.CauseStopped}
	case job.ending != "":
		return why{"The server was stopped.", scheduler.CauseStopped}
	case job.purged:
		return why{"The server's job was removed from Nomad. Start the server again.", scheduler.CauseOperator}
	}
	return byOperator()
}

func byOperator() why {
	return why{"An operator stopped the server in Nomad. Start it again, or ask them why.", scheduler.CauseOperator}
}

// deadReason says why a server ended: its own end first, then what was done to it.
func deadReason(job jobView, alloc *allocView) why {
	if alloc.clientStatus == api.AllocClientStatusLost {
		return why{
			"The server's machine" + named(alloc.node) + " was lost, and the server with it. Start it again; what was not saved may be gone.",
			scheduler.CauseNodeLost,
		}
	}
	if alloc.preempted || alloc.desiredStatus == api.AllocDesiredStatusEvict {
		return why{"The server had to make room for more important work. Start it again; it waits until there is room.", scheduler.CausePreempted}
	}
	if ended := taskReason(alloc); ended != (why{}) {
		return ended
	}
	switch {
	case job.stopped || job.purged:
		return endingReason(job)
	case alloc.rescheduledOrMoving || strings.Contains(alloc.desiredDescription, "migrat"):
		return why{"An operator emptied the server's machine" + named(alloc.node) + ". Start the server again.", scheduler.CauseDrained}
	case alloc.desiredStatus == api.AllocDesiredStatusStop:
		return byOperator()
	case alloc.clientStatus == api.AllocClientStatusComplete:
		return why{"The server ended by itself.", scheduler.CauseExited}
	}
	return allocFailure(alloc.clientDescription)
}

// taskReason finds the task that ended the allocation by itself, or returns nothing if all were told to end.
func taskReason(alloc *allocView) why {
	if alloc.gist != nil {
		return alloc.gist.said().died
	}
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
		if ended := endOfTask(task.Events, alloc.memoryLimits[name]); ended != (why{}) {
			return ended.ofTask(name, len(names))
		}
	}
	return why{}
}

// ofTask names the task that failed, where it is not the server itself.
func (w why) ofTask(name string, tasks int) why {
	if name == taskName || tasks == 1 {
		return w
	}
	w.reason = "The task " + strings.ToValidUTF8(name, "") + " beside the server failed. " + strings.Replace(w.reason, "The server", "It", 1)
	return w
}

// endOfTask reads a task's events from the oldest and returns the one that says why it ended by itself: the first since it was last
// started again. Once Nomad began to kill the task for an outside reason, its end says nothing more.
func endOfTask(events []*api.TaskEvent, memoryLimit int64) (ended why) {
	for _, event := range events {
		if event == nil || (ended != (why{}) && event.Type != api.TaskRestarting) {
			continue
		}
		switch event.Type {
		case api.TaskRestarting:
			ended = why{}
		case api.TaskDriverFailure, api.TaskSetupFailure, api.TaskFailedValidation:
			ended = notStarted(told(event))
		case api.TaskArtifactDownloadFailed:
			ended = why{"Files that the server needs could not be downloaded. Try again, or tell the administrator.", scheduler.CauseSettings}
		case api.TaskTerminated:
			ended = terminated(event, memoryLimit)
		case api.TaskKilling:
			// A template or a hook that fails for good kills its own task, and says so in the same event.
			if event.Details["fails_task"] != "true" && !event.FailsTask {
				return why{}
			}
			ended = notPrepared(told(event))
		}
	}
	return ended
}

func terminated(event *api.TaskEvent, memoryLimit int64) why {
	exit, signal := detail(event, "exit_code", event.ExitCode), detail(event, "signal", event.Signal)
	exited := func(text string) why { return why{text, scheduler.CauseExited} }
	switch {
	case event.Details[eventOOMKey] == "true":
		return outOfMemory(memoryLimit)
	case signal == "9" || exit == "137":
		return why{killed(memoryLimit), scheduler.CauseKilled}
	case signal != "" && signal != "0":
		return exited("The server was ended by signal " + signal + ". Its last lines may tell why.")
	case exit == "0":
		return exited("The server ended by itself (exit code 0). Start it again.")
	case exit == "126" || exit == "127": // what every shell says of a program that it could not run
		return why{
			"The server's program was not found on its machine, or may not be run there (exit code " + exit + "). An operator must mend that.",
			scheduler.CauseMisconfigured,
		}
	case event.Message != "" && !strings.Contains(event.Message, "exit"): // drivers like to repeat the code
		return exited("The server ended with exit code " + exit + ": " + sentence(plain(event.Message)))
	}
	return exited("The server ended with exit code " + exit + ". Its last lines may tell why.")
}

// killed is said of an end by SIGKILL, of which nobody tells who sent it. Of a raw_exec task that takes more memory than it may the kernel does.
func killed(limit int64) string {
	most := "its machine ran out of memory"
	if limit > 0 {
		most = fmt.Sprintf("it used more than its %s of memory, or that its machine ran out of memory", scheduler.Megabytes(limit))
	}
	return "The server was killed (signal 9); most often that means that " + most + ". Start it with more memory."
}

func outOfMemory(limit int64) why {
	if limit > 0 {
		return why{
			fmt.Sprintf("The server was ended because it used more than its %s of memory. Start it with more memory.", scheduler.Megabytes(limit)),
			scheduler.CauseOutOfMemory,
		}
	}
	return why{"The server was ended because it used too much memory. Start it with more memory.", scheduler.CauseOutOfMemory}
}

// detail returns what an event says of itself under that key; the field of the same meaning is older.
func detail(event *api.TaskEvent, key string, older int) string {
	return withDefault(event.Details[key], fmt.Sprint(older))
}

// waitingReason says what a placed server waits for, where Nomad says so.
func waitingReason(alloc *allocView) why {
	if alloc.gist != nil {
		return alloc.gist.said().waiting
	}
	for _, task := range alloc.tasks {
		if task == nil || len(task.Events) == 0 {
			continue
		}
		if last := task.Events[len(task.Events)-1]; last != nil && last.Type == eventTemplate {
			return missingSettings(told(last))
		}
	}
	return why{}
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
		return terminated(event, 0).reason
	case api.TaskKilling:
		return "The server is being stopped."
	case api.TaskKilled:
		return "The server was stopped."
	case api.TaskRestarting, api.TaskRestartSignal:
		return "The server is being started again."
	case api.TaskDriverFailure, api.TaskSetupFailure, api.TaskFailedValidation, api.TaskArtifactDownloadFailed:
		return withQuote(endOfTask([]*api.TaskEvent{event}, 0).reason, told(event))
	case eventTemplate:
		return missingSettings(told(event)).reason
	case api.TaskClientReconnected:
		return "The server's machine is back."
	case api.TaskNotRestarting, api.TaskLeaderDead, api.TaskSiblingFailed:
		return ""
	}
	return sentence(plain(told(event)))
}

// withQuote adds Nomad's own words, for whom the short sentence is not enough, unless they are there.
func withQuote(reason, nomad string) string {
	if strings.Contains(reason, "Nomad says: ") {
		return reason
	}
	return strings.TrimSpace(reason + " " + nomadSays(nomad))
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
	text = oneLine(text)
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

// oneLine leaves nothing of a text that would break a line or cannot be shown.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}

func withDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
