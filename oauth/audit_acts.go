package oauth

import "github.com/nomadhub/nomadhub/httpd"

// Acts are the names of what the provider does, for the audit log. A visitor's consent, asked for or not, is noted where the code is made.
func Acts() httpd.Acts {
	return httpd.Acts{
		"POST /api/oauth2/authorize": {Name: "oauth.authorize", Target: "client"},
		"POST /api/oauth2/token":     {Name: "oauth.token", Target: "client"},
	}
}
