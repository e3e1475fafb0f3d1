package local

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nomadhub/nomadhub/scheduler"
)

// account is who a server runs as.
type account struct {
	home       string
	env        map[string]string   // what a login would set
	credential *syscall.Credential // nil for this process's own account
}

// resolveAccount finds the account named in a Spec, or this process's own for "".
func resolveAccount(owner string) (account, error) {
	if owner == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return account{}, &scheduler.RejectedError{Reason: "The hub's account has no home folder for the server to run in.", Err: err}
		}
		return account{home: home}, nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		return account{}, &scheduler.RejectedError{Reason: fmt.Sprintf("There is no account %q on the hub's machine.", owner), Err: err}
	}
	acct := account{home: u.HomeDir, env: map[string]string{"USER": u.Username, "LOGNAME": u.Username, "SHELL": "/bin/sh"}}
	acct.credential, err = credentialOf(u)
	if err != nil {
		return account{}, &scheduler.RejectedError{Reason: fmt.Sprintf("The account %q cannot be used for servers.", owner), Err: err}
	}
	switch {
	case acct.credential.Uid == 0:
		// Somebody who may log in to the hub under that name would get this machine.
		return account{}, &scheduler.RejectedError{Reason: "Servers do not run as root.", Err: errors.New("owner has user ID 0")}
	case int(acct.credential.Uid) == os.Geteuid():
		acct.credential = nil
	case os.Geteuid() != 0:
		return account{}, &scheduler.RejectedError{
			Reason: fmt.Sprintf("The hub cannot start a server as account %q, because the hub does not run as root.", owner),
			Err:    syscall.EPERM,
		}
	}
	return acct, nil
}

func credentialOf(u *user.User) (*syscall.Credential, error) {
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, nil
}

// home is the folder in which the server runs, made if it is missing.
func (s *Scheduler) home(spec scheduler.Spec, acct account) (string, error) {
	home := acct.home
	if s.opts.Home != nil {
		var err error
		if home, err = s.opts.Home(spec); err != nil {
			return "", &scheduler.RejectedError{Reason: "The server has no folder to run in: " + err.Error() + ".", Err: err}
		}
	}
	home, err := filepath.Abs(home) // it becomes HOME, which a relative path would break
	if err == nil {
		err = makeHome(home, acct.credential)
	}
	if err != nil {
		return "", &scheduler.RejectedError{
			Reason: "The folder that the server runs in cannot be made. The operator can correct its place or its permissions.",
			Err:    fmt.Errorf("home of server %s: %w", spec.ID, err),
		}
	}
	return home, nil
}

// makeHome makes a private folder unless something is there already.
func makeHome(path string, owner *syscall.Credential) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: other accounts must reach their own folder in it
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if owner == nil {
		return nil
	}
	return os.Lchown(path, int(owner.Uid), int(owner.Gid))
}
