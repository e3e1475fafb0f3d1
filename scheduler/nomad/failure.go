package nomad

import (
	"regexp"
	"strings"

	"github.com/nomadhub/nomadhub/scheduler"
)

// failure is one way in which a task cannot be started, known by what Nomad, a driver or a registry say of it.
type failure struct {
	pattern *regexp.Regexp
	cause   scheduler.Cause
	reason  string // "$1" and so on are parts of the pattern
}

// pullFailures are looked through for text that speaks of pulling an image, in this order: what a registry says of an image
// that it hides and of one that it does not have is nearly the same.
var pullFailures = []failure{
	{
		regexp.MustCompile(`(?i)deadline exceeded|context canceled|inactivity|timed? ?out waiting|request canceled`), scheduler.CausePullSlow,
		"The server's image$0 was not there in time. Start it again: what was fetched so far may be kept. If that does not help, an operator can allow more time.",
	},
	{
		regexp.MustCompile(`(?i)manifest[^:]* (unknown|not found)|not found: manifest|no such image|image .* not found|name unknown|not found in registry|failed to resolve reference .*not found|reference does not exist|: not found`),
		scheduler.CauseImageMissing,
		"The server's image$0 does not exist in its registry. Choose another one, or tell the administrator.",
	},
	{
		regexp.MustCompile(`(?i)invalid (reference|repository|tag)|must be lowercase|could not parse|parsing (image|reference)`), scheduler.CauseImageMissing,
		"The server's image$0 does not exist: that is no name of an image. Choose another one, or tell the administrator.",
	},
	{
		regexp.MustCompile(`.`), scheduler.CauseImageRefused,
		"The registry refused the server's image$0, or could not be reached. Try again later, or tell the administrator.",
	},
}

var pulls = regexp.MustCompile(`(?i)\bpull(ing)?\b|\bimage\b.*(not found|no such)|no such image`)

// imageName finds the image in what Docker's and Podman's drivers say: in quotes, or up to the next space.
var imageName = regexp.MustCompile("(?i)(?:pull(?:ing)?(?: docker)?(?: image)?:?|no such image:) *(?:[`\"']([^`\"']{1,200})[`\"']|([A-Za-z0-9][A-Za-z0-9._:/@-]{0,200}))")

// startFailures are looked through for all other text.
var startFailures = []failure{
	{
		regexp.MustCompile(`(?i)hook "consul"`), "", // it fetches the pass with which the server is registered
		"The server's machine could not get access to Consul for it. Try again in a moment, or tell the administrator.",
	},
	{
		regexp.MustCompile(`(?i)hook "(csi_hook|volumes)"|volumes are not enabled|no host volume named|missing host volume|no csi mount point|does not support (host volumes|csi)|could not claim volume`), scheduler.CauseVolume,
		"A volume of the server could not be attached to it. Try again in a moment; if it stays so, tell the administrator.",
	},
	{
		regexp.MustCompile(`(?i)hook "(vault|secrets|template|identity)"|vault|secret provider|failed to derive`), scheduler.CauseSettings,
		"The server's secrets could not be fetched. Tell the administrator: its machine or its job has no access to them.",
	},
	{
		regexp.MustCompile(`(?i)port is already allocated|address already in use|failed to bind host port`), scheduler.CausePort,
		"A port of the server is taken on its machine. Start it again: it may come to another machine.",
	},
	{
		regexp.MustCompile(`(?i)unknown user:? "?([\w.@-]+)|unable to find user ([\w.@-]+)`), scheduler.CauseMisconfigured,
		`There is no account "$1" for the server on its machine or in its image. An operator must create it or name another one.`,
	},
	{
		regexp.MustCompile(`(?i)oom|out of memory|cannot allocate memory`), scheduler.CauseOutOfMemory,
		"The server's machine has no memory left for it. Start it again, with less memory or later.",
	},
	{
		regexp.MustCompile(`(?i)exec: "([^"]+)": (executable file not found|stat|no such file)|executable file not found|no such file or directory|file not found|permission denied`),
		scheduler.CauseMisconfigured,
		"The server's program was not found on its machine or in its image, or may not be run there. An operator must mend that.",
	},
	{
		regexp.MustCompile(`(?i)driver config validation|failed to (parse|decode) (task |driver )?config|invalid (value|configuration|mount)|unsupported argument`), scheduler.CauseMisconfigured,
		"The machine does not accept the settings that the server shall run with. An operator must mend them.",
	},
	{
		regexp.MustCompile(`(?i)docker daemon|docker client|podman\.sock|driver plugin|plugin (is shut|exited)|failed to find driver|driver .*(unhealthy|not found|missing)|cgroup|executor`), scheduler.CauseDriver,
		"What runs servers on this machine does not work. Start the server again: it may come to another machine. Tell the administrator if it stays so.",
	},
	{
		regexp.MustCompile(`(?i)hook "network"|failed to (create|configure) network`), scheduler.CauseDriver,
		"The network of the server's machine could not be set up for it. Start the server again, and tell the administrator if it stays so.",
	},
}

// notStarted tells why a task never ran and what to do. Nomad is quoted only where nothing better is known; its words for what is known are
// in the server's history.
func notStarted(nomad string) why {
	if pulls.MatchString(nomad) && !strings.Contains(nomad, "hook \"") && !strings.Contains(nomad, "Docker daemon") {
		return pullFailure(nomad)
	}
	for _, known := range startFailures {
		parts := known.pattern.FindStringSubmatch(nomad)
		if parts == nil {
			continue
		}
		reason := strings.ReplaceAll(known.reason, "$1", oneLine(plain(strings.Join(parts[1:], ""))))
		if known.cause == scheduler.CauseVolume {
			reason = strings.TrimSpace(reason + " " + storageSays(nomad))
		}
		return why{reason, known.cause}
	}
	return why{"The server could not be started. Tell the administrator. " + nomadSays(nomad), scheduler.CauseDriver}
}

func pullFailure(nomad string) why {
	image := ""
	if parts := imageName.FindStringSubmatch(nomad); parts != nil {
		image = " " + oneLine(plain(parts[1]+strings.TrimRight(parts[2], ".:,")))
	}
	for _, known := range pullFailures {
		if known.pattern.MatchString(nomad) {
			return why{strings.Replace(known.reason, "$0", image, 1), known.cause}
		}
	}
	return why{}
}

// notPrepared is what became of a template, a secret or a hook that failed for good.
func notPrepared(nomad string) why {
	return why{"The server could not be prepared: a setting or a secret of it is missing. Tell the administrator. " + nomadSays(nomad), scheduler.CauseSettings}
}

// missingSettings is what a task waits for whose templates have not got all that they read.
func missingSettings(nomad string) why {
	return why{"The server waits for its settings. If it does not go on within a minute, tell the administrator. " + nomadSays(nomad), scheduler.CauseSettings}
}

func allocFailure(nomad string) why {
	if nomad == "" || strings.HasPrefix(nomad, "Failed tasks") {
		return why{"The server failed, and Nomad gives no reason. Start it again, and tell the administrator if it stays so.", ""}
	}
	return notStarted(nomad)
}

// nomadSays quotes Nomad for the administrator whom a user shows the page.
func nomadSays(text string) string {
	if text = plain(text); text == "" {
		return ""
	}
	return "Nomad says: " + sentence(text)
}

// storageSays quotes a CSI plugin, whose own words come last in what Nomad makes of them: only they tell an administrator what is wrong with the storage. It is
// "" for text that is no plugin's.
func storageSays(text string) string {
	const begins = "desc = "
	at := strings.LastIndex(text, begins)
	if at < 0 {
		return ""
	}
	if text = plain(text[at+len(begins):]); text == "" {
		return ""
	}
	return "The storage says: " + sentence(text)
}

// noise is what programs wrap around what they have to say.
var noise = regexp.MustCompile(`rpc error: (?:code = \w+ desc = )?|\d+ errors? occurred:\s*\*?\s*|failed to setup alloc: |(?i:pre-?run|prestart|task) hook "[\w-]+" failed: |Error response from daemon: | --- args=\[.*\]`)

// credentials are what a URL may carry that nobody else shall see: a user with password, and the query, in which signatures are.
var (
	credentials = regexp.MustCompile(`(://)[^/@\s"']+@`)
	queries     = regexp.MustCompile(`(://[^\s"'?]+)\?[^\s"']*`)
	tokens      = regexp.MustCompile(`(?i)\b((?:x-\w+-token|authorization|password|token|secret)["']?\s*[:=]\s*(?:bearer\s+)?["']?)[^\s,;"']+`)
)

// plain takes from an error's text what only programmers understand, and what nobody else may see.
func plain(text string) string {
	text = noise.ReplaceAllString(text, "")
	text = credentials.ReplaceAllString(text, "$1")
	text = queries.ReplaceAllString(text, "$1")
	text = tokens.ReplaceAllString(text, "$1…")
	return strings.TrimSpace(text)
}
