package compat

func groupPairs() []pair {
	return join(
		each([]string{"alice", "wrong", ""}, "POST groups", "POST groups/lab", "DELETE groups/lab", "POST groups/lab/users", "DELETE groups/lab/users",
			"PUT groups/lab/properties"),
		[]pair{
			{as: "admin", do: "GET groups", note: "none yet"},
			{as: "admin", do: "POST groups", json: `{"groups": ["lab", "course"]}`},
			{as: "admin", do: "POST groups", json: `{"groups": ["lab"]}`, note: "exists"},
			{as: "admin", do: "POST groups", json: `{"groups": []}`},
			{as: "admin", do: "POST groups", json: `{}`},
			{as: "admin", do: "POST groups", note: "no body"},
			{as: "admin", do: "POST groups", json: `[`},
			{as: "admin", do: "POST groups", json: `{"groups": ["g9"], "users": ["nobody"]}`},
			{as: "admin", do: "POST groups/physics", json: `{"users": ["alice", "bob"]}`},
			{as: "admin", do: "POST groups/physics", note: "exists"},
			{as: "admin", do: "POST groups/empty"},
			{as: "admin", do: "POST groups/wrong", json: `{"users": ["nobody"]}`},
			{as: "admin", do: "POST groups/wrong", json: `{"users": "alice"}`},
			{as: "admin", do: "POST groups/wrong", json: `{"colour": 1}`},
			{as: "admin", do: "POST groups/wrong", json: `{"users": [1]}`},
			{as: "admin", do: "POST groups/a%20b"},
			{as: "admin", do: "GET groups/a%20b"},
			{as: "admin", do: "POST groups/lab/users", json: `{"users": ["alice", "Erin"]}`},
			{as: "admin", do: "POST groups/lab/users", json: `{"users": ["alice"]}`, note: "again"},
			{as: "admin", do: "POST groups/lab/users", json: `{"users": ["nobody", "bob"]}`},
			{as: "admin", do: "POST groups/lab/users", json: `{"users": []}`},
			{as: "admin", do: "POST groups/lab/users", json: `{}`},
			{as: "admin", do: "POST groups/lab/users", note: "no body"},
			{as: "admin", do: "POST groups/lab/users", json: `{"users": "alice"}`},
			{as: "admin", do: "POST groups/none/users", json: `{"users": ["alice"]}`},
			{as: "admin", do: "PUT groups/lab/properties", json: `{"size": "big", "n": [1, 2]}`},
			{as: "admin", do: "GET groups/lab"},
			{as: "admin", do: "PUT groups/lab/properties", json: `{}`},
			{as: "admin", do: "PUT groups/lab/properties", json: `[1]`},
			{as: "admin", do: "PUT groups/lab/properties", json: `"x"`},
			{as: "admin", do: "PUT groups/lab/properties", note: "no body"},
			{as: "admin", do: "PUT groups/none/properties", json: `{}`},
			{as: "admin", do: "GET users/alice", note: "in groups"},
			{as: "alice", do: "GET user", note: "in groups"},
		},
		each(anybody, "GET groups", "GET groups/lab", "GET groups/none"),
		each([]string{"admin"}, "GET groups?limit=1", "GET groups?limit=1&offset=1", "GET groups?limit=x", "GET groups/", "GET groups/lab/users", "GET groups/lab/properties",
			"PATCH groups/lab", "PUT groups", "GET groups/LAB"),
		paged("admin", "GET groups", "GET groups?limit=2", "GET groups?limit=2&offset=4", "GET users", "GET users?limit=3&sort=name&name_filter=a",
			"GET users?offset=2&limit=2", "GET users?limit=500", "GET users?offset=500", "GET users?state=active"),
		[]pair{
			{as: "admin", do: "DELETE groups/lab/users", json: `{"users": ["erin", "bob"]}`},
			{as: "admin", do: "DELETE groups/lab/users", json: `{"users": ["nobody"]}`},
			{as: "admin", do: "DELETE groups/lab/users", note: "no body"},
			{as: "admin", do: "DELETE groups/lab/users", json: `{}`},
			{as: "admin", do: "DELETE groups/none/users", json: `{"users": ["erin"]}`},
			{as: "admin", do: "DELETE groups/empty"},
			{as: "admin", do: "DELETE groups/empty", note: "again"},
			{as: "admin", do: "GET groups", note: "at the end"},
		},
	)
}

// paged asks for pages as JupyterHub's newer clients do.
func paged(as string, what ...string) []pair {
	var all []pair
	for _, do := range what {
		all = append(all, pair{as: as, do: do, header: map[string]string{"Accept": "application/jupyterhub-pagination+json"}, note: "paged"})
	}
	return all
}
