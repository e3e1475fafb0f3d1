package pyenv

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

var hubPin = regexp.MustCompile(`(?m)^jupyterhub==(\S+)$`)

// fetchExamples takes the examples of the pinned JupyterHub from the package registry. Only its source distribution has them.
func (p *plan) fetchExamples(ctx context.Context) error {
	pin := hubPin.FindStringSubmatch(p.requirements)
	if pin == nil {
		return errors.New("no version of jupyterhub is pinned")
	}
	folder, err := os.MkdirTemp(p.env.Dir, "source-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	err = p.run(ctx, p.env.Program("python"), "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--quiet", "--no-deps",
		"--no-binary", "jupyterhub", "--dest", folder, pin[0])
	if err != nil {
		return err
	}
	name := "jupyterhub-" + pin[1]
	file, err := os.Open(filepath.Join(folder, name+".tar.gz")) //nolint:gosec // G304: what pip has just written
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := os.Mkdir(p.env.Examples(), 0o755); err != nil { //nolint:gosec // G301: meant to be read by every account
		return err
	}
	into, err := os.OpenRoot(p.env.Examples())
	if err != nil {
		return err
	}
	defer into.Close()
	n, err := unpack(tar.NewReader(text), name+"/examples/", into)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s has no examples", name)
	}
	return err
}

// maxExample bounds one file, in bytes.
const maxExample = 16 << 20

// unpack writes the files of an archive that are below a folder into another one, out of which no name leads. It returns how many there are.
func unpack(from *tar.Reader, below string, into *os.Root) (n int, err error) {
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		name, wanted := strings.CutPrefix(header.Name, below)
		if !wanted || header.Typeflag != tar.TypeReg {
			continue
		}
		if header.Size > maxExample {
			return n, fmt.Errorf("%s has %d bytes", header.Name, header.Size)
		}
		text, err := io.ReadAll(from)
		if err == nil {
			err = into.MkdirAll(path.Dir(name), 0o755)
		}
		if err == nil {
			err = into.WriteFile(name, text, 0o644)
		}
		if err != nil {
			return n, err
		}
		n++
	}
}
