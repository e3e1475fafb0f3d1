package compat

func sharePairs() []pair {
	return join(
		shareSetup(),
		each(anybody, "GET shares/erin", "GET shares/erin/", "GET shares/erin/lab", "GET shares/nobody", "GET shares/nobody/", "GET users/bob/shared", "GET users/nobody/shared",
			"GET users/bob/shared/erin/", "GET groups/physics/shared", "GET groups/none/shared", "GET share-codes/erin", "GET share-codes/erin/",
			"GET share-codes/erin/none"),
		shareWrites(), codeWrites(),
	)
}

// shareSetup gives erin two servers and the right to share them.
func shareSetup() []pair {
	return []pair{
		{as: "admin", do: "POST users/erin/server", note: "to share"},
		{as: "admin", do: "POST users/erin/servers/lab", note: "to share"},
		{as: "erin", do: "POST shares/erin/", json: `{"user": "bob"}`, note: "without the scope"},
		{as: "", do: "POST shares/erin/", json: `{"user": "bob"}`},
		{as: "bob", do: "POST shares/erin/", json: `{"user": "bob"}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "bob"}`},
		{as: "admin", do: "POST shares/erin/lab", json: `{"group": "physics"}`},
	}
}

func shareWrites() []pair {
	return []pair{
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "scopes": ["access:servers", "read:servers"]}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "scopes": ["delete:servers!server=erin/"]}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "scopes": ["access:servers!server=bob/"]}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "scopes": ["access:servers!user=erin"]}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "scopes": ["no:such"]}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "scopes": "access:servers"}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "alice", "group": "physics"}`},
		{as: "admin", do: "POST shares/erin/", json: `{}`},
		{as: "admin", do: "POST shares/erin/", note: "no body"},
		{as: "admin", do: "POST shares/erin/", json: `[`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "nobody"}`},
		{as: "admin", do: "POST shares/erin/", json: `{"group": "none"}`},
		{as: "admin", do: "POST shares/erin/", json: `{"user": "bob", "colour": 1}`},
		{as: "admin", do: "POST shares/erin/none", json: `{"user": "bob"}`},
		{as: "admin", do: "POST shares/nobody/", json: `{"user": "bob"}`},
		{as: "admin", do: "POST shares/erin", json: `{"user": "bob"}`},
		{as: "admin", do: "DELETE shares/erin"},
		{as: "admin", do: "PUT shares/erin/"},
		{as: "admin", do: "GET shares/erin?limit=1"},
		{as: "admin", do: "GET shares/erin?limit=x"},
		{as: "bob", do: "GET users/bob/shared"},
		{as: "bob", do: "GET users/bob/shared/erin/"},
		{as: "bob", do: "GET users/bob/shared/erin/lab"},
		{as: "bob", do: "GET user", note: "with shares"},
		{as: "admin", do: "PATCH shares/erin/", json: `{"user": "alice", "scopes": ["read:servers"]}`},
		{as: "admin", do: "PATCH shares/erin/", json: `{"user": "alice"}`},
		{as: "admin", do: "PATCH shares/erin/", json: `{"user": "alice"}`, note: "nothing left"},
		{as: "admin", do: "PATCH shares/erin/", json: `{"user": "nobody"}`},
		{as: "admin", do: "PATCH shares/erin/", json: `{}`},
		{as: "bob", do: "PATCH shares/erin/", json: `{"user": "bob"}`},
		{as: "bob", do: "DELETE users/bob/shared/erin/lab", note: "not direct"},
		{as: "bob", do: "DELETE users/bob/shared/erin/"},
		{as: "bob", do: "DELETE users/bob/shared/erin/", note: "again"},
		{as: "alice", do: "DELETE users/bob/shared/erin/"},
		{as: "admin", do: "DELETE groups/physics/shared/erin/lab"},
		{as: "admin", do: "DELETE groups/physics/shared/erin/lab", note: "again"},
		{as: "admin", do: "GET groups/physics/shared/erin/lab"},
		{as: "bob", do: "DELETE shares/erin/"},
		{as: "admin", do: "DELETE shares/erin/"},
		{as: "admin", do: "DELETE shares/erin/none"},
		{as: "admin", do: "GET shares/erin/", note: "at the end"},
	}
}

func codeWrites() []pair {
	return []pair{
		{as: "erin", do: "POST share-codes/erin/", note: "without the scope"},
		{as: "", do: "POST share-codes/erin/"},
		{as: "admin", do: "POST share-codes/erin/", keep: map[string]string{"code.1": "code", "id.code1": "id"}},
		{as: "admin", do: "POST share-codes/erin/", json: `{"scopes": ["access:servers"], "expires_in": 3600}`, keep: map[string]string{"code.2": "code", "id.code2": "id"}},
		{as: "admin", do: "POST share-codes/erin/lab", json: `{}`},
		{as: "admin", do: "POST share-codes/erin/", json: `{"expires_in": 59}`},
		{as: "admin", do: "POST share-codes/erin/", json: `{"expires_in": 60}`},
		{as: "admin", do: "POST share-codes/erin/", json: `{"expires_in": 31536001}`},
		{as: "admin", do: "POST share-codes/erin/", json: `{"expires_in": "x"}`},
		{as: "admin", do: "POST share-codes/erin/", json: `{"scopes": ["no:such"]}`},
		{as: "admin", do: "POST share-codes/erin/", json: `{"colour": 1}`},
		{as: "admin", do: "POST share-codes/erin/none"},
		{as: "admin", do: "POST share-codes/nobody/"},
		{as: "admin", do: "POST share-codes/erin"},
		{as: "admin", do: "GET share-codes/erin/", note: "some"},
		{as: "admin", do: "GET share-codes/erin?limit=1"},
		{as: "browser.bob", do: "GET /hub/accept-share?code={code.1}"},
		{as: "browser.bob", do: "GET /hub/accept-share?code=nothing"},
		{as: "browser.bob", do: "GET /hub/accept-share"},
		{as: "browser.bob", do: "POST /hub/accept-share", form: "code={code.1}&_xsrf={xsrf}"},
		{as: "browser.bob", do: "POST /hub/accept-share", form: "code={code.1}&_xsrf={xsrf}&next=/hub/home", note: "again"},
		{as: "browser.bob", do: "POST /hub/accept-share", form: "code=nothing&_xsrf={xsrf}"},
		{as: "browser.bob", do: "POST /hub/accept-share", form: "code={code.1}", note: "no XSRF"},
		{as: "browser.nobody", do: "GET /hub/accept-share?code={code.1}"},
		{as: "bob", do: "GET users/bob/shared", note: "by code"},
		{as: "admin", do: "GET share-codes/erin/", note: "used"},
		{as: "bob", do: "DELETE share-codes/erin/?code={code.1}"},
		{as: "admin", do: "DELETE share-codes/erin/?code={code.1}"},
		{as: "admin", do: "DELETE share-codes/erin/?code={code.1}", note: "again"},
		{as: "admin", do: "DELETE share-codes/erin/?id={id.code2}"},
		{as: "admin", do: "DELETE share-codes/erin/?id=sc_99999"},
		{as: "admin", do: "DELETE share-codes/erin/?id=x"},
		{as: "admin", do: "DELETE share-codes/erin/"},
		{as: "admin", do: "DELETE share-codes/erin/", note: "again"},
		{as: "admin", do: "DELETE share-codes/erin"},
		{as: "admin", do: "DELETE shares/erin/", note: "of the code"},
		{as: "admin", do: "DELETE users/erin/server", note: "shared"},
		{as: "admin", do: "DELETE users/erin/servers/lab", json: `{"remove": true}`, note: "shared"},
	}
}
