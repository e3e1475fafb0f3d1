package stack

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCSIPluginKeepsToTheSpecification has the specification's own tests check the plugin that Nomad is tested with.
func TestCSIPluginKeepsToTheSpecification(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("skipped because only root may mount")
	}
	plugin, sanity := Program(t, "csi"), Program(t, "csi-sanity")
	dir, err := os.MkdirTemp("", "nomadhub-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	endpoint := "unix://" + filepath.Join(dir, "s")
	cmd := exec.CommandContext(t.Context(), plugin, "-root="+filepath.Join(dir, "volumes"), "-node=here")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "CSI_ENDPOINT="+endpoint), t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) { // that is: ended well when it was told to
			t.Errorf("the plugin ends with %v", err)
		}
	})
	// It waits for the plugin by itself.
	out, err := exec.CommandContext(t.Context(), sanity, "-csi.endpoint="+endpoint, "-csi.mountdir="+filepath.Join(dir, "mount"),
		"-csi.stagingdir="+filepath.Join(dir, "stage"), "-csi.testvolumesize=10485760", "-ginkgo.no-color").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
