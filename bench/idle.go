package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// rest is how long a hub is left alone before its memory is read, and for how long it is watched doing nothing: two of its looks at all servers, or one of them where
// there are so many that they come seldomer.
func rest(servers int) time.Duration {
	if servers > 5000 {
		return 36 * time.Second
	}
	return 21 * time.Second
}

// culling has the hub look for servers that nobody uses, as most hubs do. None is old enough to be stopped. It does so twice as often as by default, so that
// the time in which ten thousand are watched holds one of these looks.
const culling = `
culling {
  idle_after = "24h"
  interval   = "30s"
}`

// idleHub is a hub at rest.
type idleHub struct {
	cpu      float64 // cores
	resident float64
	peak     float64
	scrape   float64 // ms
	scraped  float64 // KiB
	sweep    float64 // ms
	cull     float64 // ms
	sweepCPU float64 // ms, at most
}

func (i idleHub) report(f *field, in round) {
	f.add(f.key("O16", "idle_cpu", "% of a core"), ours, in, 100*i.cpu)
	f.add(f.key("O15", "resident", "MiB"), ours, in, i.resident)
	f.add(f.key("O15", "resident_peak", "MiB"), ours, in, i.peak)
	f.add(f.key("O16", "scrape", "ms"), ours, in, i.scrape)
	f.add(f.key("O16", "scrape_size", "KiB"), ours, in, i.scraped)
	f.add(f.key("O16", "cull_pass", "ms"), ours, in, i.cull)
	f.add(f.key("O16", "reconcile", "ms"), ours, in, i.sweep)
	f.add(f.key("O16", "reconcile_cpu", "ms"), ours, in, i.sweepCPU)
}

// idle lists everything once, as an administrator does, and then leaves the hub alone.
func (f *field) idle(ctx context.Context) (idleHub, error) {
	var i idleHub
	if err := f.listUsers(ctx); err != nil {
		return i, err
	}
	pause(ctx, 3*time.Second)
	first, err := read(ctx, f.client, f.metrics+"/metrics")
	if err != nil {
		return i, err
	}
	f.profile(ctx, "idle")
	used, err := watchCPU(ctx, f.pid(), rest(f.size))
	if err != nil {
		return i, err
	}
	i.cpu = used.cores()
	if i.resident, i.peak, err = memory(f.pid()); err != nil {
		return i, err
	}
	f.keepProfile(ctx, "heap", "heap")
	began := time.Now()
	text, err := read(ctx, f.client, f.metrics+"/metrics")
	i.scrape, i.scraped = since(began), float64(len(text))/1024
	took := meanSince(first, text, "nomadhub_sweep_duration_seconds")
	i.sweep = 1000 * took
	if i.cull = 1000 * meanSince(first, text, cullMetric); math.IsNaN(i.cull) { // with few servers it is watched for less time
		i.cull = 1000 * mean(text, cullMetric)
	}
	i.sweepCPU = milliseconds(used.most(time.Duration(took * float64(time.Second))))
	return i, err
}

// metric is the value of a metric without labels; NaN: there is none.
func metric(text []byte, name string) float64 {
	for line := range strings.Lines(string(text)) {
		if after, ok := strings.CutPrefix(line, name+" "); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(after), 64); err == nil {
				return v
			}
		}
	}
	return math.NaN()
}

// mean is the mean of a histogram's values; NaN if there are none.
func mean(text []byte, name string) float64 {
	return metric(text, name+"_sum") / metric(text, name+"_count")
}

// meanSince is the mean of the values that came between two readings; NaN if there are none.
func meanSince(first, text []byte, name string) float64 {
	return (metric(text, name+"_sum") - metric(first, name+"_sum")) / (metric(text, name+"_count") - metric(first, name+"_count"))
}

// cpuSample is what a process had used of the processor at a time.
type cpuSample struct {
	at   time.Time
	used time.Duration
}

// cpuCurve says when a process used the processor.
type cpuCurve []cpuSample

// curveStep is how often the curve is read; the kernel counts in steps of 10 ms.
const curveStep = 20 * time.Millisecond

// watchCPU looks at a process for so long.
func watchCPU(ctx context.Context, pid int, long time.Duration) (cpuCurve, error) {
	var curve cpuCurve
	for began := time.Now(); ; {
		used, err := cpuTime(pid)
		if err != nil {
			return nil, err
		}
		curve = append(curve, cpuSample{time.Now(), used})
		if time.Since(began) >= long {
			return curve, nil
		}
		if !pause(ctx, curveStep) {
			return nil, ctx.Err()
		}
	}
}

// cores is how many it used on average.
func (c cpuCurve) cores() float64 {
	last := c[len(c)-1]
	return (last.used - c[0].used).Seconds() / last.at.Sub(c[0].at).Seconds()
}

// most is the most that it used within a stretch of that length, and one step before and after it. A piece of work that takes so long used no more.
func (c cpuCurve) most(stretch time.Duration) time.Duration {
	var most time.Duration
	first := 0
	for last := range c {
		for c[last].at.Sub(c[first].at) > stretch+2*curveStep {
			first++
		}
		most = max(most, c[last].used-c[first].used)
	}
	return most
}

// cullMetric is the histogram of the hub's looks for servers that nobody uses.
const cullMetric = "nomadhub_cull_pass_duration_seconds"

// passesPatience is how long the first looks after a start may take to come.
const passesPatience = 90 * time.Second

// culled waits until the hub has looked at everything by itself, and then has the stock culler do so. nil: there is none.
func (f *field) culled(ctx context.Context) (*cullerPass, error) {
	err := f.await(ctx, passesPatience, func(ctx context.Context) error {
		text, err := read(ctx, f.client, f.metrics+"/metrics")
		if err != nil {
			return err
		}
		if math.IsNaN(mean(text, cullMetric) + mean(text, "nomadhub_sweep_duration_seconds")) {
			pause(ctx, time.Second)
			return errors.New("the hub has not looked at all servers yet")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := f.cullerPass(ctx, f.cluster.dir, target{f.public, f.token, f.child}, f.size-changedMeanwhile)
	if err != nil { // a peer's failure is none of ours
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return p, ctx.Err()
}
