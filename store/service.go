package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nomadhub/nomadhub/hub"
)

const serviceColumns = "name, origin, spec, created"

// PutService implements [hub.ServiceStore]. What exists keeps the time of its creation.
func (s *Store) PutService(ctx context.Context, v hub.Service) error {
	row, err := serviceRow(v)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "put service", "INSERT INTO services ("+serviceColumns+`) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET origin = excluded.origin, spec = excluded.spec`, row)
	return err
}

// CreateService implements [hub.ServiceStore].
func (s *Store) CreateService(ctx context.Context, v hub.Service) error {
	row, err := serviceRow(v)
	if err != nil {
		return err
	}
	return s.mustWrite(ctx, "create service", "INSERT INTO services ("+serviceColumns+") VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", row)
}

func serviceRow(v hub.Service) (args, error) {
	spec, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: the service %s cannot be stored: %w", v.Name, err)
	}
	return args{v.Name, string(v.Origin), string(spec), micros(v.Created)}, nil
}

// Service implements [hub.ServiceStore].
func (s *Store) Service(ctx context.Context, name string) (hub.Service, error) {
	var v hub.Service
	err := s.byKey(ctx, "find service", "SELECT "+serviceColumns+" FROM services WHERE name = $1", args{name}, serviceFields(&v)...)
	return v, err
}

// Services implements [hub.ServiceStore].
func (s *Store) Services(ctx context.Context) ([]hub.Service, error) {
	return all(ctx, s, "list services", "SELECT "+serviceColumns+" FROM services ORDER BY name", nil, func(scan scanner) (v hub.Service, err error) {
		err = scan(serviceFields(&v)...)
		return v, err
	})
}

func serviceFields(v *hub.Service) []any {
	return []any{&v.Name, (*string)(&v.Origin), specOf{v}, timeOf{&v.Created}}
}

// specOf scans what a service is beside its name.
type specOf struct{ service *hub.Service }

// Scan implements [database/sql.Scanner].
func (c specOf) Scan(v any) error {
	var text string
	if err := (textOf{&text}).Scan(v); err != nil {
		return err
	}
	return c.read(text)
}

func (c specOf) read(text string) error { return json.Unmarshal([]byte(text), c.service) }

// DeleteService implements [hub.ServiceStore]; tokens, clients and what clients were given go by the foreign keys.
func (s *Store) DeleteService(ctx context.Context, name string) error {
	n, err := s.exec(ctx, "delete service", "DELETE FROM services WHERE name = $1", args{name})
	if err == nil && n == 0 {
		err = fmt.Errorf("store: delete service: %w", hub.ErrNotFound)
	}
	return err
}
