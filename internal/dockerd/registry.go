package dockerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
)

// Types of what a registry serves, as its protocol names them.
const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	configType   = "application/vnd.docker.container.image.v1+json"
	layerType    = "application/vnd.docker.image.rootfs.diff.tar"
)

// Registry serves images to engines by the registry protocol, version 2, for reading only: from it a real engine makes a real pull. Engines take
// it without TLS if it listens on the loopback address.
type Registry struct {
	*http.ServeMux
	archives []archive
}

// NewRegistry returns a registry with these images. Each has the tag "1" and no other. Close it in the end.
func NewRegistry(ctx context.Context, images ...Image) (*Registry, error) {
	r := &Registry{ServeMux: http.NewServeMux()}
	r.HandleFunc("GET /v2/{$}", func(http.ResponseWriter, *http.Request) {})
	for _, image := range images {
		if err := r.add(ctx, image); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close removes what is not in the cache.
func (r *Registry) Close() {
	for _, a := range r.archives {
		if a.remove {
			_ = os.RemoveAll(filepath.Dir(a.path))
		}
	}
}

// Tag is the one that images of a [Registry] have.
const Tag = "1"

func (r *Registry) add(ctx context.Context, image Image) error {
	layer, err := image.archived(ctx)
	if err != nil {
		return err
	}
	r.archives = append(r.archives, layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": image.Config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	})
	if err != nil {
		return err
	}
	part := func(kind, digest string, size int64) map[string]any {
		return map[string]any{"mediaType": kind, "digest": digest, "size": size}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": part(configType, digest(config), int64(len(config))),
		"layers": []any{part(layerType, layer.Digest, layer.Size)},
	})
	if err != nil {
		return err
	}
	base := "GET /v2/" + image.Name + "/"
	r.HandleFunc(base+"manifests/"+Tag, serveBytes(manifestType, manifest))
	r.HandleFunc(base+"manifests/"+digest(manifest), serveBytes(manifestType, manifest))
	r.HandleFunc(base+"blobs/"+digest(config), serveBytes(configType, config))
	r.HandleFunc(base+"blobs/"+layer.Digest, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Docker-Content-Digest", layer.Digest)
		http.ServeFile(w, req, layer.path)
	})
	return nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func serveBytes(kind string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Docker-Content-Digest", digest(content))
		_, _ = w.Write(content) // an engine that went away needs nothing
	}
}
