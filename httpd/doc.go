// Package httpd holds what all HTTP rims share: the root router and the order of its middleware, cookies and sessions, protection against cross-site requests, the
// one place where errors are rendered, and listeners.
package httpd
