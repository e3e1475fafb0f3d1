package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// volume is what is kept about one, beside its files.
type volume struct {
	ID, Name string
	Bytes    int64
	Context  map[string]string
	Node     string // where it is attached, or ""
}

// store keeps volumes as folders: ID/volume.json and ID/files.
type store struct {
	root     string
	capacity int64

	mu sync.Mutex
}

func openStore(root string, capacity int64) (*store, error) {
	s := &store{root: root, capacity: capacity}
	for _, dir := range []string{"volumes", "nodes"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// idOf makes an ID of a name, that is safe as the name of a folder.
func idOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "vol-" + hex.EncodeToString(sum[:12])
}

func (s *store) dir(id string) string   { return filepath.Join(s.root, "volumes", filepath.Base(id)) }
func (s *store) files(id string) string { return filepath.Join(s.dir(id), "files") }
func (s *store) node(id string) string  { return filepath.Join(s.root, "nodes", filepath.Base(id)) }

func (s *store) addNode(id string) error { return os.WriteFile(s.node(id), nil, 0o600) }

func (s *store) hasNode(id string) bool {
	_, err := os.Stat(s.node(id))
	return err == nil
}

// read returns a volume, or an error of the code NotFound.
func (s *store) read(id string) (*volume, error) {
	text, err := os.ReadFile(filepath.Join(s.dir(id), "volume.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, status.Errorf(codes.NotFound, "there is no volume %s", id)
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	v := &volume{}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return v, nil
}

func (s *store) write(v *volume) error {
	text, err := json.Marshal(v)
	if err == nil {
		err = os.MkdirAll(s.files(v.ID), 0o700)
	}
	if err == nil {
		err = os.Chmod(s.files(v.ID), 0o777) // each task writes as its own account
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir(v.ID), "volume.json"), text, 0o600)
	}
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

// used is what all volumes were asked to hold.
func (s *store) used() (sum int64, err error) {
	entries, err := os.ReadDir(filepath.Join(s.root, "volumes"))
	if err != nil {
		return 0, status.Error(codes.Internal, err.Error())
	}
	for _, e := range entries {
		v, err := s.read(e.Name())
		if err != nil {
			return 0, err
		}
		sum += v.Bytes
	}
	return sum, nil
}
