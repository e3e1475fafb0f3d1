package deps

import (
	"errors"
	"testing"
)

// TestMissingErrorSaysWhatToDo guards the sentence that a person on a bare machine gets.
func TestMissingErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	cause := errors.New("no network")
	err := &MissingError{Program: "Chromium", Packages: []string{"chromium"}, Err: cause}
	want := "Chromium is missing on this machine; install it with: apt-get install -y chromium (trying that failed: no network)"
	if err.Error() != want || !errors.Is(err, cause) {
		t.Errorf("got %q", err)
	}
}

// TestFindChromium runs alone: it hides every program of this machine.
func TestFindChromium(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if path, err := FindChromium(); err == nil {
		t.Errorf("found %s", path)
	} else if _, ok := errors.AsType[*MissingError](err); !ok {
		t.Errorf("got %v", err)
	}
	// Without apt-get nothing can be installed either, and the error is the same.
	if _, err := EnsureChromium(t.Context(), t.Output()); err == nil || err.Error() != "Chromium is missing on this machine; install it with: apt-get install -y chromium" {
		t.Errorf("got %v", err)
	}
}
