package scheduler

import (
	"fmt"
	"math"
	"slices"
)

// The most that one server may ask for. No machine has more, and sums of such numbers fit everywhere.
const (
	maxCores     = 4096
	maxMHz       = 100_000_000
	maxMegabytes = 1 << 30
	maxDevices   = 1024
)

// check returns a sentence that says what of the resources can never be, or "".
func (r Resources) check() string {
	for _, check := range []func() string{r.checkCPU, r.checkMemory, r.checkDevices} {
		if reason := check(); reason != "" {
			return reason
		}
	}
	return ""
}

func (r Resources) checkCPU() string {
	switch {
	case r.CPU < 0 || r.Cores < 0 || !atLeastZero(r.CPUGuarantee) || !atLeastZero(r.CPULimit):
		return "A server cannot have less than nothing of processor."
	case r.CPU > maxMHz || r.Cores > maxCores || r.CPUGuarantee > maxCores || r.CPULimit > maxCores:
		return fmt.Sprintf("A server cannot have more than %d cores.", maxCores)
	}
	given := 0
	for _, set := range []bool{r.CPU > 0, r.Cores > 0, r.CPUGuarantee > 0} {
		if set {
			given++
		}
	}
	least := max(float64(r.Cores), r.CPUGuarantee)
	switch {
	case given > 1:
		return "The processor is given in more than one way: choose MHz, whole cores, or a guarantee in cores."
	case r.CPULimit > 0 && r.CPULimit < least:
		return fmt.Sprintf("The processor limit of %g cores is below the %g cores that are reserved.", r.CPULimit, least)
	}
	return ""
}

// atLeastZero is false for what is no number, too.
func atLeastZero(f float64) bool { return f >= 0 && !math.IsInf(f, 0) }

func (r Resources) checkMemory() string {
	amounts := []int64{r.MemoryMB, r.MemoryMaxMB, r.DiskMB}
	switch {
	case slices.Min(amounts) < 0:
		return "A server cannot have less than nothing of memory or disk."
	case slices.Max(amounts) > maxMegabytes:
		return fmt.Sprintf("A server cannot have more than %d MB of memory or disk.", maxMegabytes)
	case r.MemoryMaxMB != 0 && r.MemoryMaxMB < r.MemoryMB:
		return fmt.Sprintf("The memory limit of %d MB is below the %d MB that are reserved.", r.MemoryMaxMB, r.MemoryMB)
	}
	return ""
}

func (r Resources) checkDevices() string {
	seen := make(map[string]bool)
	for _, d := range r.Devices {
		switch {
		case !devicePattern.MatchString(d.Name):
			return fmt.Sprintf("The device %q cannot be asked for: devices are named TYPE, VENDOR/TYPE or VENDOR/TYPE/MODEL.", d.Name)
		case d.Count < 1 || d.Count > maxDevices:
			return fmt.Sprintf("Of the device %q, %d cannot be asked for: at least 1 and at most %d are possible.", d.Name, d.Count, maxDevices)
		case seen[d.Name]:
			return fmt.Sprintf("The device %q is asked for twice.", d.Name)
		}
		seen[d.Name] = true
		if reason := checkRules(d.Constraints, d.Affinities); reason != "" {
			return reason
		}
	}
	return ""
}
