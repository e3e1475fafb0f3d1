package rootfs

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// WriteTar writes the root file system as a tar archive, as container engines import it. Files of this machine become root's, since who owned
// them here means nothing inside.
func (s *Set) WriteTar(w io.Writer) error {
	archive := tar.NewWriter(w)
	for _, path := range s.paths() {
		if err := writeEntry(archive, path, s.entries[path]); err != nil {
			return fmt.Errorf("archive %s: %w", path, err)
		}
	}
	return archive.Close()
}

func writeEntry(archive *tar.Writer, path string, e entry) error {
	header := &tar.Header{
		Name: strings.TrimPrefix(path, "/"), Mode: tarMode(e.mode), ModTime: e.modified, Uid: e.uid, Gid: e.gid,
		Linkname: e.link, Format: tar.FormatPAX,
	}
	switch {
	case e.mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	case e.mode&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
	default:
		header.Typeflag, header.Size = tar.TypeReg, e.size
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	if e.source == "" {
		_, err := io.Copy(archive, bytes.NewReader(e.content))
		return err
	}
	file, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, io.LimitReader(file, e.size)) // one that grew meanwhile is cut, one that shrank fails
	return err
}

// tarMode is the mode as archives have it, without set-user-ID: nothing in these images needs to become root.
func tarMode(mode fs.FileMode) int64 {
	bits := int64(mode.Perm())
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}
