package nomad

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

// allowed are the leaves of a job, as paths in its JSON, in which text of a Spec may be. All else stays what the operator's jobspec says.
var allowed = regexp.MustCompile(`^\.(` + strings.Join([]string{
	`(ID|Name|Namespace|Region|NodePool|Datacenters\[\]|Meta\.nomadhub_\w*|Meta\.nomadhub_label_.*)`,
	`TaskGroups\[\]\.(` + strings.Join([]string{
		`(Constraints|Affinities)\[\]\.(LTarget|RTarget|Operand)`,
		`Spreads\[\]\.(Attribute|SpreadTarget\[\]\.Value)`,
		`Disconnect\.Reconcile`,
		`Networks\[\]\.(Mode|DNS\.Servers\[\]|(Dynamic|Reserved)Ports\[\]\.(Label|HostNetwork))`,
		`Volumes\..*\.(Name|Type|Source|AccessMode|AttachmentMode)`,
		`Services\[\]\.(Name|Meta\.nomadhub_\w+|Checks\[\]\.(Path|Type))`,
		`Tasks\[\]\.(` + strings.Join([]string{
			`Name`, `Driver`, `User`, `KillSignal`, `Kind`, `Config\..*`, `Config`, `Env\.[A-Za-z_][A-Za-z0-9_]*`, `Lifecycle\.Hook`, `RestartPolicy\.Mode`,
			`Resources\.Devices\[\]\.(Name|(Constraints|Affinities)\[\]\.(LTarget|RTarget|Operand))`,
			`VolumeMounts\[\]\.(Volume|Destination)`,
			`Templates\[\]\.(EmbeddedTmpl|DestPath|ChangeMode|Perms)`,
		}, "|") + `)`,
	}, "|") + `)`,
}, "|") + `)$`)

// FuzzF38Workload makes jobs of whatever passes the validation of a Spec. It must not panic, and no text may get where it would be code.
func FuzzF38Workload(f *testing.F) {
	for _, driver := range []string{driverDocker, driverPodman, driverExec, driverRawExec} {
		seed, err := json.Marshal(fullWorkload(driver))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	for _, seed := range []string{
		`{"ID":"a","Generation":1,"Workload":{"Config":{"mount":{"type":"volume"},"args":"no list","ports":7,"command":[1]},"Args":["x"],"Network":{"Ports":{"a":1}}}}`,
		`{"ID":"a","Generation":1,"Resources":{"MemoryMB":-1},"Workload":{"Image":"${x}","Mounts":[{"Name":"a","Kind":"host","Source":"../x","Path":"/../x"}]}}`,
		`{"ID":"a","Generation":1,"Workload":{"Driver":"mock_driver","Config":{"run_for":"1h"}}}`,
	} {
		f.Add([]byte(seed))
	}
	template, s := templateLeaves(f), parsedScheduler(f, mhz2000)
	f.Fuzz(func(t *testing.T, data []byte) {
		var spec scheduler.Spec
		if json.Unmarshal(data, &spec) != nil || spec.Validate() != nil {
			return
		}
		job, err := s.compose(t.Context(), spec)
		if err != nil {
			return
		}
		checkLeaves(t, template, job)
	})
}

func templateLeaves(tb testing.TB) map[string]bool {
	tb.Helper()
	job, err := parsedScheduler(tb, nil).template(tb.Context(), "")
	if err != nil {
		tb.Fatal(err)
	}
	known := make(map[string]bool)
	eachLeaf(tb, job, func(path, text string) { known[path+"="+text] = true })
	return known
}

// checkLeaves fails for text that the template does not have where it is, unless it is in an allowed leaf.
func checkLeaves(tb testing.TB, template map[string]bool, job any) {
	tb.Helper()
	eachLeaf(tb, job, func(path, text string) {
		if !template[path+"="+text] && !allowed.MatchString(path) {
			tb.Errorf("%s is %q, which is neither the operator's nor allowed there", path, text)
		}
	})
}

// eachLeaf calls for each text in the JSON of a value, keys of objects included.
func eachLeaf(tb testing.TB, value any, call func(path, text string)) {
	tb.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		tb.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(encoded, &tree); err != nil {
		tb.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case string:
			call(path, v)
		case []any:
			for _, each := range v {
				walk(path+"[]", each)
			}
		case map[string]any:
			for name, each := range v {
				walk(fmt.Sprintf("%s.%s", path, name), each)
			}
		}
	}
	walk("", tree)
}

// TestF38TextGetsOnlyWhereItIsData puts hostile text into all fields that take free text, and looks for it in the job.
func TestF38TextGetsOnlyWhereItIsData(t *testing.T) {
	t.Parallel()
	template := templateLeaves(t)
	for _, driver := range []string{driverDocker, driverPodman, driverExec, driverRawExec} {
		spec := fullWorkload(driver)
		spec.Env["A"], spec.Secrets["B"], spec.Labels["x"] = hostile, "secret "+hostile, hostile
		w := &spec.Workload
		w.Command, w.Args = hostile, []string{hostile}
		w.Placement.Constraints[0].Value = hostile
		w.Tasks[0].Env["A"] = hostile
		job, err := parsedScheduler(t, mhz2000).compose(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		checkLeaves(t, template, job)
		eachLeaf(t, job, func(path, text string) {
			if strings.Contains(text, "secret") {
				t.Errorf("%s: the secret is in the job at %s", driver, path)
			}
			if strings.Contains(path, "Templates") && strings.Contains(text, "attr.kernel") {
				t.Errorf("%s: hostile text is in a template at %s", driver, path)
			}
		})
		for _, task := range job.TaskGroups[0].Tasks {
			if task.Name != taskName && len(task.Templates) > 0 {
				t.Errorf("%s: the task %s gets the server's environment", driver, task.Name)
			}
		}
	}
}
