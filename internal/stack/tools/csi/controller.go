package main

import (
	"cmp"
	"context"
	"maps"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// defaultBytes is the size of a volume that was asked for without one.
const defaultBytes = 1 << 20

// controller makes, attaches and deletes volumes.
type controller struct {
	csi.UnimplementedControllerServer
	store *store
}

func (c *controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	res := &csi.ControllerGetCapabilitiesResponse{}
	for _, can := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		csi.ControllerServiceCapability_RPC_GET_CAPACITY,
	} {
		res.Capabilities = append(res.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: can}},
		})
	}
	return res, nil
}

// possible reports whether folders can be used in these ways.
func possible(capabilities []*csi.VolumeCapability) bool {
	for _, c := range capabilities {
		switch c.GetAccessMode().GetMode() {
		case csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY,
			csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER, csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER:
		default:
			return false
		}
		if c.GetMount() == nil {
			return false
		}
	}
	return len(capabilities) > 0
}

func (c *controller) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if r.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume needs a name")
	}
	if !possible(r.GetVolumeCapabilities()) {
		return nil, status.Error(codes.InvalidArgument, "a volume is a file system that one machine mounts")
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	least, most := r.GetCapacityRange().GetRequiredBytes(), r.GetCapacityRange().GetLimitBytes()
	v, err := c.store.read(idOf(r.GetName()))
	switch {
	case status.Code(err) == codes.NotFound:
		v, err = c.make(r, cmp.Or(least, min(defaultBytes, cmp.Or(most, defaultBytes))))
	case err == nil && (v.Bytes < least || most > 0 && v.Bytes > most):
		err = status.Errorf(codes.AlreadyExists, "the volume %s exists with %d bytes", r.GetName(), v.Bytes)
	}
	if err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: v.ID, CapacityBytes: v.Bytes, VolumeContext: v.Context}}, nil
}

func (c *controller) make(r *csi.CreateVolumeRequest, bytes int64) (*volume, error) {
	for name := range r.GetParameters() {
		if name != "refuse" {
			return nil, status.Errorf(codes.InvalidArgument, "there is no parameter %q", name)
		}
	}
	if bytes > c.store.capacity {
		return nil, status.Errorf(codes.OutOfRange, "%d MB are more than the storage has", bytes>>20)
	}
	used, err := c.store.used()
	if err != nil {
		return nil, err
	}
	if bytes > c.store.capacity-used {
		return nil, status.Errorf(codes.ResourceExhausted, "of %d MB there are %d MB left", c.store.capacity>>20, (c.store.capacity-used)>>20)
	}
	v := &volume{ID: idOf(r.GetName()), Name: r.GetName(), Bytes: bytes, Context: maps.Clone(r.GetParameters())}
	return v, c.store.write(v)
}

func (c *controller) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if r.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "which volume?")
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	v, err := c.store.read(r.GetVolumeId())
	switch {
	case status.Code(err) == codes.NotFound:
		return &csi.DeleteVolumeResponse{}, nil
	case err != nil:
		return nil, err
	case v.Node != "":
		return nil, status.Errorf(codes.FailedPrecondition, "the volume %s is attached to %s", v.ID, v.Node)
	}
	if err := os.RemoveAll(c.store.dir(v.ID)); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controller) ControllerPublishVolume(_ context.Context, r *csi.ControllerPublishVolumeRequest) (*csi.ControllerPublishVolumeResponse, error) {
	if r.GetVolumeId() == "" || r.GetNodeId() == "" || r.GetVolumeCapability() == nil {
		return nil, status.Error(codes.InvalidArgument, "which volume, on which machine, and how?")
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	v, err := c.store.read(r.GetVolumeId())
	switch {
	case err != nil:
		return nil, err
	case !c.store.hasNode(r.GetNodeId()):
		return nil, status.Errorf(codes.NotFound, "there is no machine %s", r.GetNodeId())
	case v.Context["refuse"] == "attach":
		return nil, status.Errorf(codes.Internal, "the volume %s cannot be attached: its storage does not answer", v.Name)
	case v.Node != "" && v.Node != r.GetNodeId():
		return nil, status.Errorf(codes.FailedPrecondition, "the volume %s is attached to %s", v.Name, v.Node)
	}
	v.Node = r.GetNodeId()
	return &csi.ControllerPublishVolumeResponse{}, c.store.write(v)
}

func (c *controller) ControllerUnpublishVolume(_ context.Context, r *csi.ControllerUnpublishVolumeRequest) (*csi.ControllerUnpublishVolumeResponse, error) {
	if r.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "which volume?")
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	v, err := c.store.read(r.GetVolumeId())
	if status.Code(err) == codes.NotFound {
		return &csi.ControllerUnpublishVolumeResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if r.GetNodeId() == "" || r.GetNodeId() == v.Node {
		v.Node = ""
	}
	return &csi.ControllerUnpublishVolumeResponse{}, c.store.write(v)
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if r.GetVolumeId() == "" || len(r.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "which volume, and how?")
	}
	if _, err := c.store.read(r.GetVolumeId()); err != nil {
		return nil, err
	}
	if !possible(r.GetVolumeCapabilities()) {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: "a volume is a file system that one machine mounts"}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: r.GetVolumeCapabilities()},
	}, nil
}

func (c *controller) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	used, err := c.store.used()
	return &csi.GetCapacityResponse{AvailableCapacity: c.store.capacity - used}, err
}
