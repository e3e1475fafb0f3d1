// Command csi is a CSI plugin whose volumes are folders of this machine: the tests' stand-in for a storage system. Controller and node service are one
// program. It keeps to the specification, which csi-sanity checks, and mounts as other plugins do: a volume is bound to the staging path and from there to
// each path of a task. Nothing limits how much is written to a volume.
//
// The parameter "refuse" of a volume makes its attach ("attach") or its mount ("mount") fail, as broken storage does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
)

func main() {
	root := flag.String("root", "", "folder that holds the volumes; all instances that are one storage system share it")
	node := flag.String("node", "", "name of this machine")
	capacity := flag.Int64("capacity", 1024, "what all volumes together may be asked to hold, in MB")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("CSI_ENDPOINT"), *root, *node, *capacity<<20); err != nil {
		fmt.Fprintln(os.Stderr, "csi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint, root, node string, capacity int64) error {
	path, isSocket := strings.CutPrefix(endpoint, "unix://")
	if !isSocket || root == "" || node == "" {
		return errors.New("CSI_ENDPOINT must be unix:///path, and -root and -node are needed")
	}
	s, err := openStore(root, capacity)
	if err != nil {
		return err
	}
	if err := s.addNode(node); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a run before
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, identity{})
	csi.RegisterControllerServer(server, &controller{store: s})
	csi.RegisterNodeServer(server, &nodeService{store: s, id: node})
	go func() {
		<-ctx.Done()
		server.GracefulStop()
	}()
	return server.Serve(listener)
}

// identity says what the plugin is.
type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: "folders.csi.nomadhub.test", VendorVersion: "1.0.0"}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}},
	}}}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}
