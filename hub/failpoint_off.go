//go:build !failpoints

package hub

// failpoint does nothing in the program that people run; see failpoint_on.go.
func failpoint(string) {}
