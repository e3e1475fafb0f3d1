package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/config"
)

func TestKeysComeFromWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)
	key := "NOMADHUB_SECRET_KEYS__20260101=" + strings.Repeat("k", 32)
	for name, test := range map[string]struct {
		environment bool
		made        bool // the private file
	}{"the file": {false, true}, "the environment": {true, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := *config.Default(t.TempDir()).Secrets
			c.Environment = test.environment
			store, err := openSecrets(t.Context(), c, []string{key}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			ring, err := loadKeys(t.Context(), store, c, quiet)
			if err != nil {
				t.Fatal(err)
			}
			if code := ring.Sign("test", nil); strings.HasPrefix(code, "20260101.") != test.environment {
				t.Errorf("signed with another key: %s", code)
			}
			info, err := os.Stat(c.File)
			if test.made && (err != nil || info.Mode().Perm() != 0o600) || !test.made && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v, %v", filepath.Base(c.File), info, err)
			}
		})
	}
}
