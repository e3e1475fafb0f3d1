package main

import "slices"

const module = "github.com/nomadhub/nomadhub/"

// proof is a test that shows something on real programs, not on stand-ins.
type proof struct{ pkg, test, what string }

func (p proof) key() key { return key{module + p.pkg, p.test} }

func proofs() []proof {
	return []proof{
		{"e2e", "TestEmbeddedFromLoginToLogout", "the main job in Chromium, servers as processes"},
		{"e2e", "TestClusterFromLoginToLogout", "the main job in Chromium, on Nomad, Consul, Vault and Postgres"},
		{"e2e", "TestDockerFromLoginToStop", "the same with notebooks in containers of a Docker engine"},
		{"e2e", "TestClusterNotebookLife", "queue, culling, ledger, homes and warm images on the cluster"},
		{"oauth", "TestStockServer", "stock jupyterhub-singleuser logs in with the hub"},
		{"scheduler/nomad", "TestRealNomad", "servers as jobs of a real Nomad"},
		{"scheduler/nomad", "TestRealDrivers", "the same in Docker's containers and in chroots of exec"},
		{"routing/consul", "TestReal", "routes from a real Consul"},
		{"secret/vault", "TestRealVault", "secrets from a real Vault"},
		{"store", "TestPostgres", "rows in a real Postgres"},
		{"internal/cmd/cluster", "TestClusterStartsAndStops", "make cluster starts and stops"},
		{"terraform", "TestApplyPlanDestroy", "Terraform applies, plans nothing more, destroys"},
	}
}

func isProof(k key) bool {
	return slices.ContainsFunc(proofs(), func(p proof) bool { return p.key() == k })
}
