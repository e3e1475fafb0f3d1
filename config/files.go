package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// Fingerprint says in a few letters what the files hold that Load would read. It changes when their content does, or when one is added, taken
// away or cannot be read.
func Fingerprint(paths []string) string {
	files, err := expand(paths)
	sum := sha256.New()
	fmt.Fprintln(sum, err)
	for _, name := range files {
		fmt.Fprintf(sum, "%q\n", name)
		digest(sum, name)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Glance is like Fingerprint for a look every second, at further files as well: it reads none, only when each was last written and how long it is.
func Glance(paths, more []string) string {
	files, err := expand(paths)
	sum := sha256.New()
	fmt.Fprintln(sum, err)
	for _, name := range append(files, more...) {
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(sum, "%q %v\n", name, err)
			continue
		}
		fmt.Fprintf(sum, "%q %d %d %v\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func digest(w io.Writer, name string) {
	f, err := os.Open(name)
	if err != nil {
		fmt.Fprintln(w, err)
		return
	}
	defer f.Close()
	inner := sha256.New()
	_, err = io.Copy(inner, f)
	fmt.Fprintln(w, hex.EncodeToString(inner.Sum(nil)), err)
}
