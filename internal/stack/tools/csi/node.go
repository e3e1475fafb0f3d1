package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// nodeService mounts volumes on this machine.
type nodeService struct {
	csi.UnimplementedNodeServer
	store *store
	id    string
}

func (n *nodeService) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.id}, nil
}

func (n *nodeService) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{{
		Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME}},
	}}}, nil
}

func (n *nodeService) NodeStageVolume(_ context.Context, r *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetStagingTargetPath() == "" || r.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "which volume, where, and how?")
	}
	v, err := n.store.read(r.GetVolumeId())
	if err != nil {
		return nil, err
	}
	if v.Context["refuse"] == "mount" {
		return nil, status.Errorf(codes.Internal, "the volume %s cannot be mounted: bad superblock", v.Name)
	}
	return &csi.NodeStageVolumeResponse{}, n.bind(n.store.files(v.ID), r.GetStagingTargetPath(), false)
}

func (n *nodeService) NodeUnstageVolume(_ context.Context, r *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetStagingTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "which volume, and where?")
	}
	return &csi.NodeUnstageVolumeResponse{}, n.unbind(r.GetStagingTargetPath())
}

func (n *nodeService) NodePublishVolume(_ context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetTargetPath() == "" || r.GetStagingTargetPath() == "" || r.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "which volume, from where to where, and how?")
	}
	if _, err := n.store.read(r.GetVolumeId()); err != nil {
		return nil, err
	}
	if !isMounted(r.GetStagingTargetPath()) {
		return nil, status.Errorf(codes.FailedPrecondition, "the volume %s is not staged", r.GetVolumeId())
	}
	return &csi.NodePublishVolumeResponse{}, n.bind(r.GetStagingTargetPath(), r.GetTargetPath(), r.GetReadonly())
}

func (n *nodeService) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetTargetPath() == "" {
		return nil, status.Error(codes.InvalidArgument, "which volume, and where?")
	}
	if err := n.unbind(r.GetTargetPath()); err != nil {
		return nil, err
	}
	if err := os.Remove(r.GetTargetPath()); err != nil && !os.IsNotExist(err) {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// bind mounts a folder at a path, unless something is mounted there already.
func (n *nodeService) bind(from, to string, readOnly bool) error {
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	if isMounted(to) {
		return nil
	}
	err := os.MkdirAll(to, 0o755)
	if err == nil {
		err = syscall.Mount(from, to, "", syscall.MS_BIND, "")
	}
	if err == nil && readOnly {
		err = syscall.Mount("", to, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	if err != nil {
		return status.Errorf(codes.Internal, "mount %s: %v", to, err)
	}
	return nil
}

func (n *nodeService) unbind(path string) error {
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	if !isMounted(path) {
		return nil
	}
	if err := syscall.Unmount(path, 0); err != nil {
		return status.Errorf(codes.Internal, "unmount %s: %v", path, err)
	}
	return nil
}

// isMounted reports whether the path is a mount point of this machine.
func isMounted(path string) bool {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[4] == filepath.Clean(path) {
			return true
		}
	}
	return false
}
