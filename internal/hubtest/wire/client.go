package wire

import (
	"context"
	"fmt"
	"iter"
	"net/rpc"
	"os"
	"time"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
)

var (
	_ scheduler.Scheduler    = (*Client)(nil)
	_ scheduler.VolumeKeeper = (*Client)(nil)
	_ routing.Publisher      = (*Client)(nil)
	_ routing.Source         = (*Client)(nil)
)

// Client is a world as the hub sees it.
type Client struct{ rpc *rpc.Client }

// Dial connects to the world at a Unix socket.
func Dial(socket string) (*Client, error) {
	c, err := rpc.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return &Client{c}, nil
}

// call asks the world. It may carry out a call that ctx cut short, as a real cluster may.
func call[T any](ctx context.Context, c *Client, name string, args any) (T, error) {
	var r Result[T]
	if err := ctx.Err(); err != nil {
		return r.Value, err
	}
	pending := c.rpc.Go("World."+name, args, &r, make(chan *rpc.Call, 1))
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case <-pending.Done:
	}
	if pending.Error != nil {
		return r.Value, fmt.Errorf("%w: %w", scheduler.ErrUnavailable, pending.Error)
	}
	return r.Value, r.Fault.err()
}

// Start implements [scheduler.Scheduler].
func (c *Client) Start(ctx context.Context, spec scheduler.Spec) error {
	_, err := call[None](ctx, c, "Start", spec)
	return err
}

// Stop implements [scheduler.Scheduler].
func (c *Client) Stop(ctx context.Context, id string, generation int64) error {
	_, err := call[None](ctx, c, "Stop", Run{ID: id, Generation: generation})
	return err
}

// Status implements [scheduler.Scheduler].
func (c *Client) Status(ctx context.Context, id string) (scheduler.Status, error) {
	return call[scheduler.Status](ctx, c, "Status", id)
}

// List implements [scheduler.Scheduler].
func (c *Client) List(ctx context.Context) ([]scheduler.Status, error) {
	return call[[]scheduler.Status](ctx, c, "List", None{})
}

// Watch implements [scheduler.Scheduler].
func (c *Client) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		news, err := call[News](ctx, c, "News", -1)
		for more := yield(scheduler.Event{Resync: true}, nil); more && err == nil; {
			if news, err = call[News](ctx, c, "News", news.Next); err != nil {
				break
			}
			for _, e := range news.Events {
				if more = more && yield(e, nil); !more {
					break
				}
			}
		}
		<-ctx.Done() // a world that is gone does not come back
	}
}

// EnsureVolume implements [scheduler.VolumeKeeper].
func (c *Client) EnsureVolume(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	return call[scheduler.VolumeState](ctx, c, "EnsureVolume", v)
}

// VolumeByID implements [scheduler.VolumeKeeper].
func (c *Client) VolumeByID(ctx context.Context, kind scheduler.MountKind, id string) (scheduler.VolumeState, error) {
	return call[scheduler.VolumeState](ctx, c, "VolumeByID", Run{ID: id, Kind: kind})
}

// Volumes implements [scheduler.VolumeKeeper].
func (c *Client) Volumes(ctx context.Context) ([]scheduler.VolumeState, error) {
	return call[[]scheduler.VolumeState](ctx, c, "Volumes", None{})
}

// DeleteVolume implements [scheduler.VolumeKeeper].
func (c *Client) DeleteVolume(ctx context.Context, kind scheduler.MountKind, id string) error {
	_, err := call[None](ctx, c, "DeleteVolume", Run{ID: id, Kind: kind})
	return err
}

// Publish implements [routing.Publisher].
func (c *Client) Publish(ctx context.Context, b routing.Binding) error {
	_, err := call[None](ctx, c, "Publish", b)
	return err
}

// Withdraw implements [routing.Publisher].
func (c *Client) Withdraw(ctx context.Context, server string, generation int64) error {
	_, err := call[None](ctx, c, "Withdraw", Run{ID: server, Generation: generation})
	return err
}

// routesEvery is how often a hub looks for changes of the routes.
const routesEvery = 20 * time.Millisecond

// Routes implements [routing.Source].
func (c *Client) Routes(ctx context.Context) iter.Seq2[[]routing.Route, error] {
	return func(yield func([]routing.Route, error) bool) {
		tick := time.NewTicker(routesEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			routes, err := call[[]routing.Route](ctx, c, "Routes", None{})
			if !yield(routes, err) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

// Orders hands each command to do, and its answer back, until ctx ends or the world is gone.
func (c *Client) Orders(ctx context.Context, do func(context.Context, Command) Answer) error {
	for {
		orders, err := call[[]Command](ctx, c, "Order", os.Getpid())
		for _, order := range orders {
			_, err = call[None](ctx, c, "Answer", Done{os.Getpid(), do(ctx, order)})
		}
		if err != nil {
			return err
		}
	}
}
