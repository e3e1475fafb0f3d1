package nomad

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// errConflict says that somebody else changed the job or variable since it was read: read again and decide anew.
var errConflict = errors.New("changed by somebody else meanwhile")

// purgedTwice is what Nomad's state store says of a purge that came after another one.
const purgedTwice = "DeleteJob failed: job not found"

// translate turns an error of Nomad's client into one of the contract. What was tried is told in the gerund.
func translate(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("nomad: %s: %w", doing, context.Cause(ctx))
	}
	if _, ok := errors.AsType[api.ErrCASConflict](err); ok {
		return errConflict
	}
	code := statusCode(err)
	switch {
	// Two purges of one job that are applied one after the other: Nomad answers 500 to the second, where a 404 is meant.
	case code == http.StatusNotFound, code == http.StatusInternalServerError && strings.Contains(err.Error(), purgedTwice):
		return fmt.Errorf("nomad: %s: %w", doing, scheduler.ErrNotFound)
	// Nomad answers 500 to a lost check-and-set; this prefix is its API's only sign of one.
	case code == http.StatusInternalServerError && strings.Contains(err.Error(), api.RegisterEnforceIndexErrPrefix):
		return errConflict
	// A refused token may be one that is just being replaced; nothing was decided.
	case code == 0, code == http.StatusForbidden, code == http.StatusTooManyRequests, code >= http.StatusInternalServerError:
		return fmt.Errorf("nomad: %s: %w: %w", doing, scheduler.ErrUnavailable, err)
	}
	return fmt.Errorf("nomad: %s: %w", doing, err)
}

// statusCode returns the HTTP status of an error, or 0 where no answer came.
func statusCode(err error) int {
	if response, ok := errors.AsType[api.UnexpectedResponseError](err); ok {
		return response.StatusCode()
	}
	return 0
}

// body returns what Nomad said about an error, without the client's framing.
func body(err error) string {
	if response, ok := errors.AsType[api.UnexpectedResponseError](err); ok && response.HasBody() {
		return response.Body()
	}
	return err.Error()
}
