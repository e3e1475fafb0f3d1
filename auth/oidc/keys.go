package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// keys are the provider's public keys. They tell apart a wrong signature, which is the sender's fault, from keys that cannot be
// fetched, after which the person may try again.
type keys struct{ remote *gooidc.RemoteKeySet }

func newKeys(client *http.Client, address string) keys {
	strict := *client
	strict.Transport = onlyOK{client.Transport}
	return keys{gooidc.NewRemoteKeySet(gooidc.ClientContext(context.Background(), &strict), address)}
}

// fetchFailure is where VerifySignature leaves its error: the verifier above it keeps no more than the text.
type fetchFailure struct{ err error }

type fetchFailureKey struct{}

func (k keys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, token)
	if failed, ok := ctx.Value(fetchFailureKey{}).(*fetchFailure); ok {
		_, network := errors.AsType[*url.Error](err)
		if network || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			failed.err = err
		}
	}
	return payload, err
}

// onlyOK makes an error of every answer but 200.
type onlyOK struct{ next http.RoundTripper }

func (o onlyOK) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the provider answered %s", resp.Status), resp.Body.Close())
	}
	return resp, nil
}
