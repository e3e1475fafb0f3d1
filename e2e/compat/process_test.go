package compat

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 2 * time.Minute  // for what should take seconds
	stopping = 30 * time.Second // that a hub may take to end
)

// process is a hub as a process of this test. It ends with the test, and also if the test is killed.
type process struct {
	log   string
	ended chan struct{}
	cmd   *exec.Cmd
}

// run starts a program in a folder. Its end is awaited by t.Cleanup.
func run(t *testing.T, name, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(args[0], args[1:]...) // it ends by signal
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, append(os.Environ(), env...), log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal comes when the thread ends that started the process
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		defer log.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *process) stop(t *testing.T) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopping):
		_ = p.cmd.Process.Kill()
		<-p.ended
		t.Logf("%s did not end by SIGTERM", filepath.Base(p.log))
	}
}

// tail is the end of what the process printed.
func (p *process) tail() []byte {
	const most = 6000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	if len(text) > most {
		text = text[len(text)-most:]
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	return text
}
