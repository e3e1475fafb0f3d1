package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// boots is a folder in which each stand-in for a notebook says when it began to answer. Boots of one machine differ by tens of milliseconds, so what a start
// takes beyond the server's own boot is only right if it is that server's.
type boots string

// say writes down that the server of this allocation answers from now on. The clock is the machine's, which all programs of a run share.
func (b boots) say(alloc string) error {
	if b == "" {
		return nil
	}
	now := strconv.FormatInt(time.Now().UnixNano(), 10)
	return os.WriteFile(filepath.Join(string(b), alloc), []byte(now), 0o600)
}

// of is the time from the moment at which Nomad gave the allocation its place, in nanoseconds since 1970, to the first answer, in milliseconds.
func (b boots) of(alloc string, placed int64) (float64, error) {
	text, err := os.ReadFile(filepath.Join(string(b), filepath.Base(alloc)))
	if err != nil {
		return 0, err
	}
	answered, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err == nil && (placed <= 0 || answered <= placed) {
		err = fmt.Errorf("allocation %s answered at %d and had its place at %d", alloc, answered, placed)
	}
	return milliseconds(time.Duration(answered - placed)), err
}

// ofJob is the boot of the newest allocation of a job.
func (b boots) ofJob(ctx context.Context, c *nomad.Client, job string) (float64, error) {
	stubs, _, err := c.Jobs().Allocations(job, true, (&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return 0, err
	}
	var newest *nomad.AllocationListStub
	for _, stub := range stubs {
		if newest == nil || stub.CreateTime > newest.CreateTime {
			newest = stub
		}
	}
	if newest == nil {
		return 0, errors.New("the job " + job + " has no allocation")
	}
	return b.of(newest.ID, newest.CreateTime)
}
