package nomad

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/scheduler"
)

// crowd is a Nomad without a network in which many servers run. It answers lists from prepared text, as Nomad 1.11 writes it, so that what a benchmark over it
// measures is this package and Nomad's client.
type crowd struct {
	mu      sync.Mutex
	jobs    []string // elements of the list
	allocs  []string
	index   uint64
	asked   []string
	answers int // bytes
	texts   map[string][]byte
	stories []string
	late    time.Duration // before an answer that is to be of an index or newer
}

const (
	crowdJob = `{"ID":"notebook-%[1]s","ParentID":"","Name":"notebook-%[1]s","Namespace":"notebooks","Datacenters":["dc1"],"NodePool":"default","Multiregion":null,"Type":"service",` +
		`"Priority":50,"Periodic":false,"ParameterizedJob":false,"Stop":false,"Status":"running","StatusDescription":"","JobSummary":{"JobID":"notebook-%[1]s","Namespace":"notebooks",` +
		`"Summary":{"notebook":{"Queued":0,"Complete":0,"Failed":0,"Running":1,"Starting":0,"Lost":0,"Unknown":0}},"Children":{"Pending":0,"Running":0,"Dead":0},"CreateIndex":%[2]d,` +
		`"ModifyIndex":%[2]d},"CreateIndex":%[2]d,"ModifyIndex":%[2]d,"JobModifyIndex":%[2]d,"SubmitTime":1795329402369384149,"Meta":{"` + metaServer + `":"%[1]s","` + metaGeneration + `":"1",` +
		`"user":"student-%[1]s","server_name":"","managed_by":"nomadhub"}}`
	crowdAlloc = `{"ID":"%[3]s","EvalID":"0d4b3a52-6a5d-7cd2-9f0e-5f6c6b0a5c01","Name":"notebook-%[1]s.notebook[0]","Namespace":"notebooks","NodeID":"8a6d2d1c-54d8-3cf4-9b1c-%012[4]d",` +
		`"NodeName":"node-%[4]d.example.org","JobID":"notebook-%[1]s","JobType":"service","JobVersion":0,"TaskGroup":"notebook",%[5]s"DesiredStatus":"run","DesiredDescription":"",` +
		`"ClientStatus":"running","ClientDescription":"Tasks are running","DesiredTransition":{"Migrate":null,"Reschedule":null,"ForceReschedule":null,"NoShutdownDelay":null,` +
		`"MigrateDisablePlacement":null},"TaskStates":%[6]s,"DeploymentStatus":{"Healthy":true,"Timestamp":"2026-11-22T06:36:43.127411334Z","Canary":false,"ModifyIndex":%[2]d},` +
		`"FollowupEvalID":"","NextAllocation":"","RescheduleTracker":null,"PreemptedAllocations":null,"PreemptedByAllocation":"","CreateIndex":%[7]d,"ModifyIndex":%[2]d,` +
		`"CreateTime":1795329402369384149,"ModifyTime":1795329403127395911}`
	crowdResources = `"AllocatedResources":{"Tasks":{"notebook":{"Cpu":{"CpuShares":50},"Memory":{"MemoryMB":128,"MemoryMaxMB":0},"Networks":null,"Devices":null}},"TaskLifecycles":{"notebook":null},` +
		`"Shared":{"DiskMB":60,"Networks":[{"Mode":"","Device":"","CIDR":"","IP":"10.0.%[1]d.7","DNS":null,"ReservedPorts":null,"DynamicPorts":[{"Label":"http","Value":%[2]d,"To":0,` +
		`"HostNetwork":"default","IgnoreCollision":false}],"Hostname":"","MBits":null,"CNI":null}],"Ports":[{"Label":"http","Value":%[2]d,"To":0,"HostIP":"10.0.%[1]d.7","IgnoreCollision":false}]}},`
	crowdStates = `{"notebook":{"State":"running","Failed":false,"Restarts":0,"LastRestart":"0001-01-01T00:00:00Z","StartedAt":"2026-11-22T06:36:43.127411334Z","FinishedAt":"0001-01-01T00:00:00Z","Events":[` +
		`%s,%s,%s],"Paused":""}}`
	crowdEvent = `{"Type":"%s","Time":17953294023693%05d,"DisplayMessage":"%s","Details":%s,"Message":"","FailsTask":false,"RestartReason":"","SetupError":"","DriverError":"","DriverMessage":"",` +
		`"ExitCode":0,"Signal":0,"KillReason":"","KillTimeout":0,"KillError":"","StartDelay":0,"DownloadError":"","ValidationError":"","DiskLimit":0,"DiskSize":0,"FailedSibling":"","VaultError":"",` +
		`"TaskSignalReason":"","TaskSignal":"","GenericSource":""}`
)

func newCrowd(tb testing.TB, servers int) (*crowd, *Scheduler) {
	tb.Helper()
	c := &crowd{index: 20_000}
	for i := range servers {
		c.put(i, 1000+uint64(i)) //nolint:gosec // G115: small
	}
	client, err := api.NewClient(&api.Config{Address: "http://127.0.0.1:1", SecretID: "a-token", HttpClient: &http.Client{Transport: c}})
	if err != nil {
		tb.Fatal(err)
	}
	return c, parsedScheduler(tb, func(o *Options) { o.Client = client })
}

// put sets what is listed of a server, as it is since that index.
func (c *crowd) put(i int, index uint64) {
	for len(c.jobs) <= i {
		c.jobs, c.allocs = append(c.jobs, ""), append(c.allocs, "")
	}
	for question := range c.texts {
		c.texts[question] = nil
	}
	id, node := crowdID(i), i%100
	states := fmt.Sprintf(crowdStates,
		fmt.Sprintf(crowdEvent, "Received", 11111, "Task received by client", "{}"),
		fmt.Sprintf(crowdEvent, "Task Setup", 22222, "Building Task Directory", `{"message":"Building Task Directory"}`),
		fmt.Sprintf(crowdEvent, "Started", 33333, "Task started by client", "{}"))
	c.jobs[i] = fmt.Sprintf(crowdJob, id, 1000+i)
	c.allocs[i] = fmt.Sprintf(crowdAlloc, id, index, crowdAllocID(i), node, fmt.Sprintf(crowdResources, node, 20_000+i), states, 1001+i)
}

func crowdID(i int) string { return fmt.Sprintf("k3%022d", i) }

func crowdAllocID(i int) string { return fmt.Sprintf("5b1f0c9e-11aa-4d3e-8f00-%012d", i) }

// prepare joins what was asked for before.
func (c *crowd) prepare() {
	for question := range c.texts {
		of := c.jobs
		if strings.HasPrefix(question, "/v1/allocations") {
			of = c.allocs
		}
		if strings.HasSuffix(question, "=") && c.texts[question] == nil {
			c.text(question, of)
		}
	}
}

// text joins the elements, once for each question between two changes.
func (c *crowd) text(question string, of []string) []byte {
	if c.texts == nil {
		c.texts = make(map[string][]byte)
	}
	if c.texts[question] == nil {
		c.texts[question] = []byte("[" + strings.Join(of, ",") + "]")
	}
	return c.texts[question]
}

// RoundTrip implements http.RoundTripper.
func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.URL.Path+"?"+r.URL.RawQuery)
	q := r.URL.Query()
	if c.late > 0 && q.Get("index") != "" {
		<-time.After(c.late)
	}
	var of []string
	switch r.URL.Path {
	case "/v1/jobs":
		of = c.jobs
	case "/v1/allocations":
		of = c.allocs
	}
	if n, err := strconv.Atoi(q.Get("per_page")); err == nil {
		of = of[:min(n, len(of))]
	}
	body := c.text(r.URL.Path+"?per_page="+q.Get("per_page"), of)
	c.answers += len(body)
	header := http.Header{"X-Nomad-Index": {strconv.FormatUint(c.index, 10)}, "X-Nomad-Lastcontact": {"0"}, "X-Nomad-Knownleader": {"true"}, "Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: -1, Request: r, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

// BenchmarkList asks for all of 10,000 running servers: at first, when nothing changed since, and when some did.
func BenchmarkList(b *testing.B) {
	const servers = 10_000
	for name, changed := range map[string]int{"first": -1, "unchanged": 0, "30 changed": 30, "300 changed": 300} {
		b.Run(name, func(b *testing.B) {
			c, s := newCrowd(b, servers)
			list := func() {
				if all, err := s.List(b.Context()); err != nil || len(all) != servers {
					b.Fatal(len(all), err)
				}
			}
			if changed >= 0 {
				list()
			}
			b.ReportAllocs()
			least := time.Hour
			for b.Loop() {
				b.StopTimer()
				if changed < 0 {
					s.census.forget()
				}
				for i := range changed {
					c.index++
					c.put(i, c.index)
				}
				c.prepare()
				b.StartTimer()
				before := cputime.Used(b)
				list()
				least = min(least, cputime.Used(b)-before)
			}
			b.ReportMetric(float64(least.Microseconds())/1000, "cpu-ms/least")
		})
	}
}

// story is what the event stream tells of one start, a line for each change.
func (c *crowd) story(i int) []string {
	index := uint64(30_000 + 10*i) //nolint:gosec // G115: small
	job := strings.NewReplacer(fmt.Sprintf(`Index":%d`, 1000+i), fmt.Sprintf(`Index":%d`, index)).Replace(c.jobs[i])
	job = job[:len(job)-1] + `,"TaskGroups":[{"Name":"notebook","Tasks":[{"Config":{"args":["` + strings.Repeat("x", 3000) + `"]}}]}]}`
	alloc := func(changed uint64, status, states string) string {
		text := strings.NewReplacer(fmt.Sprintf(`"ModifyIndex":%d`, 1000+i), fmt.Sprintf(`"ModifyIndex":%d`, changed),
			fmt.Sprintf(`"CreateIndex":%d`, 1001+i), fmt.Sprintf(`"CreateIndex":%d`, index+2), `"ClientStatus":"running"`, `"ClientStatus":"`+status+`"`).Replace(c.allocs[i])
		if states != "" {
			begin, end := strings.Index(text, `"TaskStates":`), strings.Index(text, `,"DeploymentStatus"`)
			text = text[:begin] + `"TaskStates":` + states + text[end:]
		}
		return text
	}
	eval := func(status string) string {
		return `{"ID":"0d4b3a52-6a5d-7cd2-9f0e-5f6c6b0a5c01","Namespace":"notebooks","Priority":50,"Type":"service","TriggeredBy":"job-register","JobID":"notebook-` + crowdID(i) + `","JobModifyIndex":` +
			fmt.Sprint(index) + `,"Status":"` + status + `","FailedTGAllocs":null,"ModifyTime":1795329402369384149}`
	}
	line := func(at uint64, events ...string) string {
		return fmt.Sprintf(`{"Index":%d,"Events":[%s]}`, at, strings.Join(events, ","))
	}
	event := func(at uint64, topic, kind, payload string) string {
		return fmt.Sprintf(`{"Topic":"%s","Type":"%s","Key":"%s","Namespace":"notebooks","FilterKeys":["notebook-%s",""],"Index":%d,"Payload":{"%[1]s":%[6]s}}`, topic, kind, crowdAllocID(i), crowdID(i), at, payload)
	}
	return []string{
		line(index, event(index, "Job", "JobRegistered", job), event(index, "Evaluation", "JobRegistered", eval("pending"))),
		line(index+2, event(index+2, "Allocation", "PlanResult", alloc(index+2, "pending", "null"))),
		line(index+3, event(index+3, "Evaluation", "EvaluationUpdated", eval("complete"))),
		line(index+4, event(index+4, "Allocation", "AllocationUpdated", alloc(index+4, "pending", ""))),
		line(index+6, event(index+6, "Allocation", "AllocationUpdated", alloc(index+6, "running", ""))),
	}
}

func newBenchWatch(s *Scheduler) *watch {
	w := &watch{s: s, known: newTracker(s.opts.JobPrefix, nil), yield: func(scheduler.Event, error) bool { return true }}
	w.known.drains = &s.drains
	w.s.mirror.begin(w, nil, 20_000)
	w.s.mirror.sign.note(time.Now())
	return w
}

// BenchmarkStream reads what the event stream tells of one start.
func BenchmarkStream(b *testing.B) {
	c, s := newCrowd(b, 1000)
	w := newBenchWatch(s)
	var told strings.Builder
	for i := range 1000 {
		for _, line := range c.story(i) {
			told.WriteString(line + "\n")
		}
	}
	b.SetBytes(int64(told.Len()) / 1000)
	b.ReportAllocs()
	var lines *frames
	before, n := cputime.Used(b), 0
	for b.Loop() {
		if n++; n%1000 == 1 {
			lines = newFrames(strings.NewReader(told.String()), s.opts.JobPrefix)
		}
		for range 5 {
			next, err := lines.next()
			if err != nil || len(next.Events) == 0 && next.Index%10 != 0 || !w.tell(b.Context(), next, false) {
				b.Fatal(next, err)
			}
		}
	}
	b.ReportMetric(float64((cputime.Used(b)-before).Microseconds())/float64(n), "cpu-µs/op")
}

// BenchmarkHeld tells how much memory stays taken for each server that runs, when its start was watched and when it was found running; all were listed.
func BenchmarkHeld(b *testing.B) {
	const servers = 10_000
	for _, name := range []string{"started", "found"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c, s := newCrowd(b, servers)
				if name == "started" {
					c.prepareStories(b, servers)
				}
				c.prepareLists(b, s)
				w := newBenchWatch(s)
				before := heap()
				if name == "found" {
					if _, err := w.list(b.Context(), false); err != nil {
						b.Fatal(err)
					}
				}
				for _, line := range c.stories {
					next, err := parseFrame([]byte(line), s.opts.JobPrefix)
					if err != nil || !w.tell(b.Context(), next, false) {
						b.Fatal(err)
					}
				}
				if _, err := s.List(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(heap()-before)/servers, "B/server")
				runtime.KeepAlive(c)
				runtime.KeepAlive(w)
			}
		})
	}
}

func (c *crowd) prepareStories(tb testing.TB, servers int) {
	tb.Helper()
	for i := range servers {
		c.stories = append(c.stories, c.story(i)...)
	}
	for i := range servers { // what is listed then
		c.put(i, uint64(30_006+10*i)) //nolint:gosec // G115: small
	}
}

// prepareLists has the answers made before anything is measured.
func (c *crowd) prepareLists(tb testing.TB, s *Scheduler) {
	tb.Helper()
	if _, err := s.List(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	s.census.forget()
	c.asked = make([]string, 0, 1000)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
