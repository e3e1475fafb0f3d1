package dockerd

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/nomadhub/nomadhub/internal/cache"
)

// Image is an image in the making: its one layer, and what containers of it begin with.
type Image struct {
	Name   string // such as "notebook", without a tag
	Layer  Layer
	Config Config
}

// Layer is a root file system that can be written as a tar archive; [rootfs.Set] is one.
type Layer interface {
	WriteTar(w io.Writer) error
	Key() string // equal for equal content
}

// Config is what an image says of its containers, as the engine's API writes it.
type Config struct {
	Env          []string            `json:",omitempty"` // NAME=value
	User         string              `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"` // "8888/tcp"
	Healthcheck  *Healthcheck        `json:",omitempty"`
}

// Healthcheck is a program that the engine runs in a container again and again.
type Healthcheck struct {
	Test     []string      // "CMD" and the program with its arguments
	Interval time.Duration `json:",omitempty"`
	Timeout  time.Duration `json:",omitempty"`
}

// changes is the configuration as lines of a Dockerfile.
func (c Config) changes() ([]string, error) {
	var lines []string
	for _, entry := range c.Env {
		lines = append(lines, "ENV "+entry)
	}
	for port := range c.ExposedPorts {
		lines = append(lines, "EXPOSE "+port)
	}
	for instruction, value := range map[string]string{"USER": c.User, "WORKDIR": c.WorkingDir} {
		if value != "" {
			lines = append(lines, instruction+" "+value)
		}
	}
	for instruction, words := range map[string][]string{"ENTRYPOINT": c.Entrypoint, "CMD": c.Cmd} {
		if len(words) == 0 {
			continue
		}
		text, err := json.Marshal(words)
		if err != nil {
			return nil, err
		}
		lines = append(lines, instruction+" "+string(text))
	}
	return lines, nil
}

// ImportImage gives the engine an image by "docker import", without any registry, and returns its name. The tag is the key of the content and not
// "latest", which Nomad looks for in a registry in any case.
func (e *Engine) ImportImage(ctx context.Context, image Image) (name string, err error) {
	changes, err := image.Config.changes()
	if err != nil {
		return "", err
	}
	name = image.Name + ":" + image.Layer.Key()
	r, w := io.Pipe()
	go func() { w.CloseWithError(image.Layer.WriteTar(w)) }()
	defer r.Close()
	if err := e.Import(ctx, name, r, changes); err != nil {
		return "", fmt.Errorf("import the image %s: %w", name, err)
	}
	return name, nil
}

// archive is an image's layer in a file.
type archive struct {
	path   string
	Digest string // "sha256:" and the hash of the file
	Size   int64
	remove bool // it is nobody's but ours
}

// archived writes the image's layer to the cache unless it is there, and to a temporary folder if there is no cache.
func (i Image) archived(ctx context.Context) (archive, error) {
	dir, err := imageCache()
	if err != nil {
		if dir, err = os.MkdirTemp("", "nomadhub-image-"); err != nil {
			return archive{}, err
		}
		a := archive{path: filepath.Join(dir, "layer.tar"), remove: true}
		return a, a.write(i.Layer)
	}
	base := filepath.Join(dir, path.Base(i.Name))
	a := archive{path: base + "-" + i.Layer.Key() + ".tar"}
	if a.known() {
		return a, nil
	}
	unlock, err := cache.Lock(ctx, base+".lock", nil)
	if err != nil {
		return archive{}, fmt.Errorf("wait for another process that makes the image: %w", err)
	}
	defer unlock()
	if a.known() {
		return a, nil
	}
	older, _ := filepath.Glob(base + "-*.tar*") // one of each name is enough; who reads an older one keeps it open
	for _, file := range older {
		_ = os.Remove(file)
	}
	return a, a.write(i.Layer)
}

func imageCache() (string, error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "images")
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // shared by the accounts of this machine, as the rest of the cache
}

// known reads what was noted of the archive when it was written.
func (a *archive) known() bool {
	note, err := os.ReadFile(a.path + ".json")
	if err != nil || json.Unmarshal(note, a) != nil {
		return false
	}
	info, err := os.Stat(a.path)
	return err == nil && info.Size() == a.Size
}

func (a *archive) write(layer Layer) error {
	partial := a.path + ".partial"
	defer func() { _ = os.Remove(partial) }() // it is there after a failure only
	file, err := os.Create(partial)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := errors.Join(writeBuffered(layer, file, sum), file.Close()); err != nil {
		return err
	}
	info, err := os.Stat(partial)
	if err != nil {
		return err
	}
	a.Digest, a.Size = "sha256:"+hex.EncodeToString(sum.Sum(nil)), info.Size()
	note, err := json.Marshal(a)
	if err != nil {
		return err
	}
	// The note last: an archive without one is made anew.
	return errors.Join(os.Rename(partial, a.path), os.WriteFile(a.path+".json", note, 0o644)) //nolint:gosec // as above
}

func writeBuffered(layer Layer, file io.Writer, sum hash.Hash) error {
	buffered := bufio.NewWriterSize(io.MultiWriter(file, sum), 1<<20)
	if err := layer.WriteTar(buffered); err != nil {
		return err
	}
	return buffered.Flush()
}
