package pyenv

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nomadhub/nomadhub/e2e/python"
	"github.com/nomadhub/nomadhub/internal/cache"
)

// APIDocument is the name by which JupyterHub's own description of its REST API is asked for. It comes with the source distribution only, and not with what is installed.
const APIDocument = "hub5-api"

const (
	documentProject  = "jupyterhub"
	documentPath     = "docs/source/_static/rest-api.yml" // in the distribution
	maxDocumentBytes = 4 << 20
)

// FindAPIDocument returns the path of the description that JupyterHub 5 publishes, of the version that the environment hub5 has. An error that matches [fs.ErrNotExist]
// means that it was not fetched yet.
func FindAPIDocument() (string, error) {
	file, _, err := documentFile()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("JupyterHub's description of its API was not fetched (fetch it with: go run ./internal/cmd/pyenv %s): %w", APIDocument, err)
	}
	return file, nil
}

// EnsureAPIDocument fetches it if need be.
func EnsureAPIDocument(ctx context.Context, opts Options) (string, error) {
	file, pin, err := documentFile()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	opts.Name = "schemathesis" // any that has pip
	p, err := prepare(ctx, opts)
	if err != nil {
		return "", err
	}
	if err := p.ensure(ctx); err != nil {
		return "", err
	}
	unlock, err := cache.Lock(ctx, file+".lock", nil)
	if err != nil {
		return "", fmt.Errorf("wait for another process that fetches it: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(file); err == nil { // somebody else did while we waited
		return file, nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), "sdist-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	err = p.run(ctx, p.env.Program("python"), "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--quiet", "--no-deps",
		"--no-binary", documentProject, "--dest", dir, pin)
	if err != nil {
		return "", err
	}
	return file, takeDocument(dir, file)
}

// documentFile is where the document is kept, and the pin of the version that it is of.
func documentFile() (file, pin string, err error) {
	requirements, err := python.Requirements("hub5")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(requirements) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), documentProject+"=="); ok {
			folder, err := cache.Dir()
			return filepath.Join(folder, "python", documentProject+"-"+version+"-rest-api.yml"), documentProject + "==" + version, err
		}
	}
	return "", "", errors.New("the environment hub5 has no pinned JupyterHub")
}

// takeDocument copies the document out of the one distribution in the folder.
func takeDocument(dir, file string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the download holds %d source distributions: %w", len(found), errors.Join(err, fs.ErrNotExist))
	}
	packed, err := os.Open(found[0])
	if err != nil {
		return err
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(unpacked); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the source distribution has no %s: %w", documentPath, fs.ErrNotExist)
		}
		if err != nil {
			return err
		}
		if _, inside, _ := strings.Cut(path.Clean(entry.Name), "/"); inside != documentPath {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(archive, maxDocumentBytes))
		if err != nil {
			return err
		}
		next := file + ".next"
		if err := os.WriteFile(next, text, 0o644); err != nil { //nolint:gosec // G306: meant to be read by every account
			return err
		}
		return os.Rename(next, file)
	}
}
