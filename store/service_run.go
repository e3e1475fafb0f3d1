package store

import (
	"context"
	"fmt"

	"github.com/nomadhub/nomadhub/hub"
)

// ServiceRuns implements [hub.ServiceStore].
func (s *Store) ServiceRuns(ctx context.Context) ([]hub.ServiceRun, error) {
	query := "SELECT service, generation, salt, mark, token, instance, address FROM service_runs ORDER BY service"
	return all(ctx, s, "list runs of services", query, nil, func(scan scanner) (r hub.ServiceRun, err error) {
		err = scan(&r.Service, &r.Generation, &r.Salt, &r.Mark, &r.Token, &r.Instance, &r.Address)
		return r, err
	})
}

// BeginServiceRun implements [hub.ServiceStore].
func (s *Store) BeginServiceRun(ctx context.Context, r hub.ServiceRun, before int64) error {
	query, a := `UPDATE service_runs SET generation = $2, salt = $3, mark = $4, token = $5, instance = $6, address = $7
		WHERE service = $1 AND generation = $8`, args{r.Service, r.Generation, r.Salt, r.Mark, r.Token, r.Instance, r.Address, before}
	if before == 0 {
		// Of a service that is just being removed there is no run to begin.
		query, a = `INSERT INTO service_runs (service, generation, salt, mark, token, instance, address)
			SELECT name, $2, $3, $4, $5, $6, $7 FROM services WHERE name = $1 ON CONFLICT (service) DO NOTHING`, a[:7]
	}
	return s.changeRun(ctx, "begin run of a service", query, a)
}

// PlaceServiceRun implements [hub.ServiceStore].
func (s *Store) PlaceServiceRun(ctx context.Context, r hub.ServiceRun) error {
	return s.changeRun(ctx, "place run of a service", "UPDATE service_runs SET instance = $3, address = $4 WHERE service = $1 AND generation = $2",
		args{r.Service, r.Generation, r.Instance, r.Address})
}

// changeRun is ErrStale where there is nothing to change.
func (s *Store) changeRun(ctx context.Context, what, query string, a args) error {
	n, err := s.exec(ctx, what, query, a)
	if err == nil && n == 0 {
		err = fmt.Errorf("store: %s: %w", what, hub.ErrStale)
	}
	return err
}
