package config

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBucketsOfHistograms: from a file, and from the environment in JupyterHub's way of writing them.
func TestBucketsOfHistograms(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "metrics {\n  authenticate_prometheus = false\n  spawn_buckets = [1, 2.5, 60]\n}\n", "NOMADHUB_METRICS_STOP_BUCKETS=0.5, 1,30,inf")
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if !slices.Equal(c.Metrics.SpawnBuckets, []float64{1, 2.5, 60}) || !slices.Equal(c.Metrics.StopBuckets, []float64{0.5, 1, 30, math.Inf(1)}) || c.Metrics.AuthenticatePrometheus {
		t.Errorf("got %+v", *c.Metrics)
	}
	var text strings.Builder
	if err := Describe(c).WriteHCL(&text); err != nil || !strings.Contains(text.String(), "spawn_buckets = [1, 2.5, 60]") {
		t.Errorf("shown as %s, %v", text.String(), err)
	}
	for name, wrong := range map[string][]float64{
		"descending": {2, 1}, "twice the same": {1, 1}, "zero": {0, 1}, "negative": {-1}, "no number": {math.NaN()}, "only infinite": {math.Inf(1)},
		"infinite before the end": {1, math.Inf(1), 2}, "too many": slices.Repeat([]float64{1}, maxBuckets+1),
	} {
		for option, set := range map[string]func(*Config){
			"metrics.spawn_buckets": func(c *Config) { c.Metrics.SpawnBuckets = wrong }, "metrics.stop_buckets": func(c *Config) { c.Metrics.StopBuckets = wrong },
		} {
			c := Default("/data")
			set(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), option) {
				t.Errorf("%s, %s: %v", option, name, err)
			}
		}
	}
	for _, wrong := range []string{"fast,1", "1;2"} {
		_, err := Load(Default("/data"), nil, []string{"NOMADHUB_METRICS_SPAWN_BUCKETS=" + wrong})
		if err == nil || !strings.Contains(err.Error(), "is not a number") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// TestTheAuditLogIsKeptForEver, where a file says so; and a length of time that is none is refused.
func TestTheAuditLogIsKeptForEver(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{"0s": true, "1h": true, "-1h": false, "": false, "a year": false} {
		dir := folder(t, map[string]string{"hub.hcl": `audit { keep = "` + text + `" }`})
		c, err := Load(Default("/data"), []string{filepath.Join(dir, "hub.hcl")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Validate()
		if valid != (err == nil) || err != nil && !strings.Contains(err.Error(), "audit.keep") {
			t.Errorf("%q: %v", text, err)
		}
		if text == "0s" && c.Audit.Keep.Value() != 0 {
			t.Errorf("%q is %v", text, c.Audit.Keep.Value())
		}
	}
}
