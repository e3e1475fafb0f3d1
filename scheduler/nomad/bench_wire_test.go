package nomad

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/scheduler"
)

// instant is a Nomad without a network: it answers each write at once, and tells a watch of it as the event stream does. Between what it answers there is nothing but
// this package and Nomad's client, so what a benchmark over it measures is theirs.
type instant struct {
	s     *Scheduler
	watch *watch
	index atomic.Uint64

	mu        sync.Mutex
	requests  []string
	sent      int                    // bytes of bodies
	jobs      map[string]*instantJob // by server
	variables map[string]uint64      // their indexes, by server
}

type instantJob struct {
	index, created uint64
	generation     string
	stopped        bool
}

// newInstant returns one, and a scheduler that a watch stands beside.
func newInstant(tb testing.TB) (*instant, *Scheduler) {
	tb.Helper()
	n := &instant{jobs: map[string]*instantJob{}, variables: map[string]uint64{}}
	n.index.Store(10)
	client, err := api.NewClient(&api.Config{Address: "http://127.0.0.1:1", SecretID: "a-token", HttpClient: &http.Client{Transport: n}})
	if err != nil {
		tb.Fatal(err)
	}
	n.s = parsedScheduler(tb, func(o *Options) { o.Client = client })
	n.watch = &watch{s: n.s}
	n.s.mirror.begin(n.watch, nil, 10)
	n.s.mirror.sign.note(time.Now())
	return n, n.s
}

// RoundTrip implements http.RoundTripper.
func (n *instant) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	n.s.mirror.sign.note(time.Now())
	index := n.index.Add(10)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests = append(n.requests, r.Method+" "+r.URL.Path)
	n.sent += len(body)
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-Nomad-Index": {strconv.FormatUint(index, 10)}}, Request: r, ProtoMajor: 1, ProtoMinor: 1}
	answer := n.answer(r, body, index, res)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(answer)), int64(len(answer))
	return res, nil
}

// answer is what Nomad would say; the caller holds the lock.
func (n *instant) answer(r *http.Request, body []byte, index uint64, res *http.Response) []byte {
	_, id, _ := strings.Cut(r.URL.Path, "notebook-")
	id, _, _ = strings.Cut(id, "/")
	job := n.jobs[id]
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/var/"):
		return n.answerVariable(r, id, index, res)
	case r.URL.Path == "/v1/jobs":
		return n.register(body, index, res)
	case strings.HasSuffix(r.URL.Path, "/allocations"):
		return []byte("[]")
	case r.Method == http.MethodDelete && job != nil:
		delete(n.jobs, id)
		e := streamEvent{Type: deregistered, Index: index}
		e.Payload.Job = &api.Job{ID: new("notebook-" + id), JobModifyIndex: new(index - 1)}
		n.s.mirror.take(n.watch, &e)
		return fmt.Appendf(nil, `{"EvalCreateIndex":%d,"EvalID":"7d8c3cb4-0000-0000-0000-000000000000","JobModifyIndex":%[1]d}`, index)
	case r.Method == http.MethodGet && job != nil:
		return fmt.Appendf(nil, `{"ID":"notebook-%s","Meta":{"nomadhub_server":%[1]q,"nomadhub_generation":%q},"Stop":%t,"JobModifyIndex":%d,"CreateIndex":%d}`,
			id, job.generation, job.stopped, job.index, job.created)
	}
	res.StatusCode = http.StatusNotFound
	return []byte("not found")
}

func (n *instant) answerVariable(r *http.Request, id string, index uint64, res *http.Response) []byte {
	before := n.variables[id]
	switch {
	case r.Method == http.MethodGet && before == 0:
		res.StatusCode = http.StatusNotFound
		return nil
	case r.Method == http.MethodGet:
		index = before
	case r.URL.Query().Get("cas") != strconv.FormatUint(before, 10):
		res.StatusCode = http.StatusConflict
	case r.Method == http.MethodDelete:
		delete(n.variables, id)
		res.StatusCode = http.StatusNoContent
		return nil
	default:
		n.variables[id] = index
	}
	return fmt.Appendf(nil, `{"CreateIndex":%d,"ModifyIndex":%[1]d,"Namespace":"notebooks","Path":"x","Items":{"A":"b"}}`, index)
}

// register takes note of a job and tells of it, and of its end where it is stopped. It finds its way without decoding, to be as small a part of what is measured as can be.
func (n *instant) register(body []byte, index uint64, res *http.Response) []byte {
	after := func(key string) string {
		_, rest, _ := bytes.Cut(body, []byte(key))
		value, _, _ := bytes.Cut(rest, []byte(`"`))
		return string(value)
	}
	id := after(`"ID":"notebook-`)
	job := n.jobs[id]
	if job == nil {
		job = &instantJob{created: index}
	}
	var enforced uint64 // none is written for 0
	if _, rest, ok := bytes.Cut(body, []byte(`"EnforceIndex":true,"JobModifyIndex":`)); ok {
		enforced, _ = strconv.ParseUint(string(rest[:bytes.IndexAny(rest, ",}")]), 10, 64)
	}
	if enforced != job.index {
		res.StatusCode = http.StatusInternalServerError
		return []byte(api.RegisterEnforceIndexErrPrefix)
	}
	n.jobs[id] = job
	job.index, job.generation, job.stopped = index, after(`"nomadhub_generation":"`), bytes.Contains(body, []byte(`"Stop":true`))
	n.tell(id, job)
	return fmt.Appendf(nil, `{"EvalCreateIndex":%d,"EvalID":"7d8c3cb4-0000-0000-0000-000000000000","Index":%[1]d,"JobModifyIndex":%[1]d,"KnownLeader":false,"LastContact":0,"Warnings":""}`, index)
}

// tell tells the watch of a job as it is.
func (n *instant) tell(id string, job *instantJob) {
	name, index, created := "notebook-"+id, job.index, job.created
	e := streamEvent{Type: "JobRegistered", Index: index}
	e.Payload.Job = &api.Job{ID: &name, Meta: map[string]string{metaServer: id, metaGeneration: job.generation}, Stop: new(job.stopped), JobModifyIndex: &index, CreateIndex: &created}
	n.s.mirror.take(n.watch, &e)
	e = streamEvent{}
	e.Payload.Evaluation = &api.Evaluation{JobID: name, Status: api.EvalStatusComplete, JobModifyIndex: index}
	n.s.mirror.take(n.watch, &e)
	n.s.mirror.reach(n.watch, index)
	n.s.news.tell(name)
}

func specOf(i int) scheduler.Spec {
	spec := fullSpec()
	spec.ID = "server-" + strconv.Itoa(i)
	return spec
}

// BenchmarkStart is a start beside a watch, without the network.
func BenchmarkStart(b *testing.B) {
	n, s := newInstant(b)
	must(b, s.Start(context.Background(), specOf(-1)))
	n.requests, n.sent = nil, 0
	b.ReportAllocs()
	begun := cputime.Used(b)
	i := 0
	for b.Loop() {
		must(b, s.Start(b.Context(), specOf(i)))
		i++
	}
	b.ReportMetric(float64(cputime.Used(b)-begun)/float64(i), "cpu-ns/op")
	b.ReportMetric(float64(len(n.requests))/float64(i), "requests/op")
	b.ReportMetric(float64(n.sent)/float64(i), "sent-B/op")
}

// BenchmarkStop is a stop beside a watch, without the network.
func BenchmarkStop(b *testing.B) {
	n, s := newInstant(b)
	b.ReportAllocs()
	var used time.Duration
	requests, sent, i := 0, 0, 0
	for b.Loop() {
		b.StopTimer()
		must(b, s.Start(b.Context(), specOf(i)))
		had, before := len(n.requests), n.sent
		b.StartTimer()
		begun := cputime.Used(b)
		must(b, s.Stop(b.Context(), specOf(i).ID, specOf(i).Generation))
		used += cputime.Used(b) - begun
		requests, sent = requests+len(n.requests)-had, sent+n.sent-before
		n.requests = n.requests[:0]
		i++
	}
	b.ReportMetric(float64(used)/float64(i), "cpu-ns/op")
	b.ReportMetric(float64(requests)/float64(i), "requests/op")
	b.ReportMetric(float64(sent)/float64(i), "sent-B/op")
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
