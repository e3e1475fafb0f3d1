package rootfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteDir writes the root file system into a folder, which is new or empty. Files of this machine are linked where that is possible, so nobody may
// write to what is in it.
func (s *Set) WriteDir(dir string) error {
	for _, path := range s.paths() { // folders come before what is in them
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil { //nolint:gosec // tasks of other accounts look in
			return err
		}
		if err := s.entries[path].writeTo(filepath.Join(dir, path)); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

func (e entry) writeTo(path string) error {
	switch {
	case e.mode.IsDir():
		if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // tasks of other accounts look in
			return err
		}
		if err := os.Chmod(path, e.mode&(fs.ModePerm|fs.ModeSticky)); err != nil {
			return err
		}
		if e.uid == 0 && e.gid == 0 {
			return nil // as whoever makes the folder
		}
		return os.Chown(path, e.uid, e.gid)
	case e.mode&fs.ModeSymlink != 0:
		return os.Symlink(e.link, path)
	case e.source == "":
		return os.WriteFile(path, e.content, e.mode.Perm())
	}
	if os.Link(e.source, path) == nil {
		return nil
	}
	return copyFile(e.source, path, e.mode.Perm()) // another file system
}

func copyFile(source, path string, mode fs.FileMode) (err error) {
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close() // the first error says more
		return err
	}
	return to.Close()
}
