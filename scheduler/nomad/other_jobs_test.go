package nomad

import (
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

// TestOtherJobsOfTheHubAreNoServers: jobs of services and those that keep images begin like servers' jobs, and one that lives is no server whose job was removed.
func TestOtherJobsOfTheHubAreNoServers(t *testing.T) {
	t.Parallel()
	c, s := newCrowd(t, 3)
	for _, other := range []string{"service_who", "warm_default"} {
		c.index++
		c.put(1, c.index)
		for _, text := range []*string{&c.jobs[1], &c.allocs[1]} {
			*text = strings.ReplaceAll(*text, `"notebook-`+crowdID(1)+`"`, `"notebook-`+other+`"`)
			if !strings.Contains(*text, other) {
				t.Fatalf("it is not named: %s", *text)
			}
		}
		c.asked = nil
		for _, st := range listed(t, s, 2) {
			if st.State != scheduler.Running || st.ID == crowdID(1) {
				t.Errorf("beside the job %s there is %+v", other, st)
			}
		}
		for _, asked := range c.asked {
			if strings.Contains(asked, "/v1/allocation/") {
				t.Errorf("for the job %s Nomad was asked for %s", other, asked)
			}
		}
	}
}
