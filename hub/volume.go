package hub

import (
	"context"
	"time"

	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// VolumeState is where a volume stands.
//
//	           the cluster has it           its owner is deleted, or gives it up        its time is over
//	Making ──────────────────────► Ready ──────────────────────────────► Released ─────────────────────► Deleting ──► no row
//	                                 ▲                                       │
//	                                 └───────────────────────────────────────┘
//	                                               restored
//
// Only what is making or ready can be claimed, and only what is released can be restored, so nothing that is being deleted comes back into use.
type VolumeState string

// The states of a volume.
const (
	VolumeMaking   VolumeState = "making"   // asked for; the cluster may not have it yet
	VolumeReady    VolumeState = "ready"    // made
	VolumeReleased VolumeState = "released" // nobody's, or given up; see DeleteAfter
	VolumeDeleting VolumeState = "deleting" // being deleted; there is no way back
)

// Volume is a place for files that outlives servers. Its ID never changes; what the cluster calls it is made from that. Whose it is may change.
type Volume struct {
	ID    string // UUID version 7
	Share profile.Share
	// UserID is whose it is, for the shares of a server and a user. It may be the ID of a user who was deleted; UserName is what they were called.
	UserID, UserName string
	ServerName       string // for the share of a server: one of its user's
	Group            string // for the share of a group
	Name             string // within the profile, such as "home"
	Profile          string // what it was first made for
	Kind             scheduler.MountKind
	Source           string // what the cluster calls it; "" before it was made
	Node, NodeID     string // the machine that it is on, and that its servers must run on; "": any, or not known
	CapacityMB       int64  // MiB; 0: without a limit, or not known
	Retain           profile.Retention
	Grace            time.Duration
	Created          time.Time
	LastUsed         time.Time // when a server that mounts it was last started; zero: never
	Released         time.Time // when it was given up; zero: it was not
	// DeleteAfter is from when on a released volume is deleted; zero: never by itself.
	DeleteAfter time.Time
	State       VolumeState
	Note        string // a sentence: why it is not as it should be; "" if it is
	// Revision counts writes; [VolumeStore.UpdateVolume] refuses one that was read before the last write.
	Revision int64
}

// Live tells whether servers may use it.
func (v Volume) Live() bool { return v.State == VolumeMaking || v.State == VolumeReady }

// VolumeUse is a server that mounts a volume.
type VolumeUse struct {
	VolumeID   string
	ServerID   string
	UserName   string // of the server's owner
	ServerName string
	Active     bool // the server that runs, or is on its way up or down, is the one that mounts it
}

// VolumeOwner is whose a volume is, and what they call it. What a share does not need is "".
type VolumeOwner struct {
	Share      profile.Share
	UserID     string
	ServerName string
	Group      string
	Name       string
}

// Owner is whose the volume is.
func (v Volume) Owner() VolumeOwner {
	return VolumeOwner{Share: v.Share, UserID: v.UserID, ServerName: v.ServerName, Group: v.Group, Name: v.Name}
}

// VolumeQuery selects volumes. The zero value selects all, by ID.
type VolumeQuery struct {
	UserID string   // those of this user and of their servers
	Groups []string // or those of these groups
	Common bool     // or those of everybody
	States []VolumeState
	// ServerID selects those that this server mounts, or did in its last run.
	ServerID string
	// DueBefore selects those of which DeleteAfter has come by then; zero: whenever.
	DueBefore time.Time
	Offset    int
	Limit     int // 0: no limit
}

// VolumeStore keeps volumes.
type VolumeStore interface {
	// CreateVolume stores a new volume. ErrExists if its owner has a live one of this name.
	CreateVolume(ctx context.Context, v Volume) error
	VolumeByID(ctx context.Context, id string) (Volume, error)
	// VolumeByOwner finds the live volume of an owner.
	VolumeByOwner(ctx context.Context, o VolumeOwner) (Volume, error)
	// Volumes returns one page and how many match in all.
	Volumes(ctx context.Context, q VolumeQuery) (volumes []Volume, total int, err error)
	// UpdateVolume writes everything but the ID, Created and LastUsed, and returns the row with its new Revision. ErrStale if the row's
	// Revision is no longer v.Revision; ErrNotFound if it is gone; ErrExists if the new owner has a live one of this name.
	UpdateVolume(ctx context.Context, v Volume) (Volume, error)
	// DeleteVolume is nil for the unknown.
	DeleteVolume(ctx context.Context, id string) error
	// ReleaseVolumes gives up all live volumes of a user, or only those of one of their servers, as their rules of retention say, and
	// returns how many there were.
	ReleaseVolumes(ctx context.Context, userID string, serverName *string, now time.Time) (int, error)
	// UseVolume notes that this generation of a server mounts the volume.
	UseVolume(ctx context.Context, volumeID, serverID string, generation int64, now time.Time) error
	// VolumeUses returns the servers that mount the volumes, or did in their last run.
	VolumeUses(ctx context.Context, volumeIDs []string) ([]VolumeUse, error)
}
