package file

import "testing"

// HoldLock takes the lock as another process would.
func HoldLock(t *testing.T, s *Store) (release func()) {
	t.Helper()
	release, err := lock(t.Context(), s.path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	return release
}
