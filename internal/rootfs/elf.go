package rootfs

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// errNoLibrary means that a shared library is nowhere on this machine.
var errNoLibrary = errors.New("a shared library is missing")

// addLibraries adds the loader and the shared libraries that a program or library asks for, and what those ask for. What is no ELF file needs
// none, but the interpreter of a script is the caller's to add.
func (s *Set) addLibraries(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := elf.NewFile(file)
	if err != nil {
		return nil // a script, or a text whose name looks like a library's
	}
	if loader := interpreter(parsed); loader != "" {
		if err := s.AddPath(loader); err != nil {
			return err
		}
	}
	needed, err := parsed.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	dirs := searchPath(parsed, path)
	for _, name := range needed {
		library, err := find(name, dirs)
		if err != nil {
			return fmt.Errorf("%s needs %s: %w", path, name, err)
		}
		if _, known := s.entries[library]; known {
			continue
		}
		if err := s.AddPath(library); err != nil {
			return err
		}
		if err := s.addLibraries(library); err != nil {
			return err
		}
	}
	return nil
}

// interpreter is the program that loads this one, or "".
func interpreter(f *elf.File) string {
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			text, err := io.ReadAll(part.Open())
			if err != nil {
				return ""
			}
			return strings.TrimRight(string(text), "\x00")
		}
	}
	return ""
}

// searchPath is where the loader looks: what the file itself says, then the system's folders.
func searchPath(f *elf.File, path string) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			continue // a static program has none
		}
		for _, value := range values {
			value = strings.NewReplacer("${ORIGIN}", filepath.Dir(path), "$ORIGIN", filepath.Dir(path)).Replace(value)
			dirs = append(dirs, strings.Split(value, ":")...)
		}
	}
	return append(dirs, systemDirs()...)
}

// systemDirs are the loader's own folders and those of /etc/ld.so.conf.d, which is where distributions name the ones of an architecture.
func systemDirs() []string {
	var dirs []string
	files, _ := filepath.Glob("/etc/ld.so.conf.d/*.conf")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				dirs = append(dirs, line)
			}
		}
	}
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
}

func find(name string, dirs []string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil && filepath.IsAbs(dir) {
			return path, nil
		}
	}
	return "", errNoLibrary
}
