// Package rootfs gathers files of this machine into a small root file system: programs with the shared libraries that they need, whole
// folders, and files of our own. It becomes an image of a container engine that has no registry to pull from ([Set.WriteTar]), or the
// chroot of Nomad's exec driver ([Set.WriteDir]). Only tests and trials use it.
package rootfs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Set is a root file system in the making. Its zero value is empty and ready.
type Set struct {
	entries map[string]entry // by absolute path
}

// entry is one file, folder or symbolic link.
type entry struct {
	mode     fs.FileMode
	modified time.Time
	size     int64
	uid, gid int
	link     string // target of a symbolic link
	content  []byte // of a file of our own
	source   string // file of this machine with the content, or "" for our own
}

// linksAtMost bounds how many symbolic links one path may go through, as the kernel does.
const linksAtMost = 40

// AddPrograms adds programs of this machine, by name on PATH or by path, with all shared libraries that they need.
func (s *Set) AddPrograms(names ...string) error {
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("find the program %s: %w", name, err)
		}
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		if err := s.AddPath(path); err != nil {
			return err
		}
		if err := s.addLibraries(path); err != nil {
			return fmt.Errorf("libraries of %s: %w", path, err)
		}
	}
	return nil
}

// AddPath adds one file of this machine, and every symbolic link on the way to it.
func (s *Set) AddPath(path string) error { return s.addPath(path, linksAtMost) }

func (s *Set) addPath(path string, links int) error {
	if links == 0 {
		return fmt.Errorf("%s: too many symbolic links", path)
	}
	parts := strings.Split(strings.TrimPrefix(filepath.Clean(path), "/"), "/")
	at := "/"
	for i, part := range parts {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		target, err := s.take(at, info)
		if err != nil {
			return err
		}
		if target == "" {
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		return s.addPath(filepath.Join(append([]string{target}, parts[i+1:]...)...), links-1)
	}
	return nil
}

// take notes one thing of this machine; it returns where it leads if it is a symbolic link.
func (s *Set) take(path string, info fs.FileInfo) (target string, err error) {
	e := entry{mode: info.Mode(), modified: info.ModTime()}
	switch {
	case info.Mode().IsRegular():
		e.source, e.size = path, info.Size()
	case info.Mode()&fs.ModeSymlink != 0:
		if e.link, err = os.Readlink(path); err != nil {
			return "", err
		}
	case info.IsDir():
		if _, known := s.entries[path]; known {
			return "", nil // perhaps one of our own, such as /tmp
		}
		e.mode = fs.ModeDir | 0o755 // a private folder of this machine's shall be open inside
	default:
		return "", nil // sockets and devices have no place in an image
	}
	s.put(path, e)
	return e.link, nil
}

func (s *Set) put(path string, e entry) {
	if s.entries == nil {
		s.entries = make(map[string]entry)
	}
	s.entries[path] = e
}

// AddTree adds a folder of this machine with all that is below it, except folders of these names, and the libraries that shared objects in it
// need, as far as this machine has them.
func (s *Set) AddTree(root string, except ...string) error {
	if err := s.AddPath(root); err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && slices.Contains(except, d.Name()) {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target, err := s.take(path, info)
		switch {
		case err != nil:
			return err
		case filepath.IsAbs(target):
			// It may lead out of the folder, as a virtual environment's Python does. One that leads nowhere stays as it is.
			if err := s.AddPath(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case d.Type().IsRegular() && strings.Contains(d.Name(), ".so"):
			if err := s.addLibraries(path); err != nil && !errors.Is(err, errNoLibrary) {
				return err
			}
		}
		return nil
	})
}

// WriteFile adds a file of our own, owned by root.
func (s *Set) WriteFile(path string, mode fs.FileMode, content string) {
	s.put(path, entry{mode: mode.Perm(), content: []byte(content), size: int64(len(content)), modified: time.Unix(0, 0)})
}

// Mkdir adds an empty folder of that owner. fs.ModeSticky may be set.
func (s *Set) Mkdir(path string, mode fs.FileMode, uid, gid int) {
	s.put(path, entry{mode: fs.ModeDir | mode, uid: uid, gid: gid, modified: time.Unix(0, 0)})
}

// Link adds a symbolic link.
func (s *Set) Link(path, target string) {
	s.put(path, entry{mode: fs.ModeSymlink | 0o777, link: target, modified: time.Unix(0, 0)})
}

// Key names the content: two sets with equal keys are equal, as far as sizes and times of files tell.
func (s *Set) Key() string {
	h := sha256.New()
	for _, path := range s.paths() {
		e := s.entries[path]
		fmt.Fprintf(h, "%q %v %d %d %d %q %q", path, e.mode, e.size, e.uid, e.gid, e.link, e.content)
		if e.mode.IsRegular() {
			fmt.Fprintf(h, " %d", e.modified.UnixNano())
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (s *Set) paths() []string {
	return slices.SortedFunc(maps.Keys(s.entries), func(a, b string) int { return cmp.Compare(a, b) })
}
