package httpd

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// handlerNames are what JupyterHub calls the handlers of routes that we both have, by the route's pattern below the hub's own path. Its dashboards leave some out by
// that name, such as the streams of progress, which last for minutes.
var handlerNames = func() map[string]string {
	const api, pages = "jupyterhub.apihandlers.", "jupyterhub.handlers."
	names := map[string]string{
		"/api":                                        api + "hub.RootAPIHandler",
		"/api/":                                       api + "hub.RootAPIHandler",
		"/api/info":                                   api + "hub.InfoAPIHandler",
		"/api/shutdown":                               api + "hub.ShutdownAPIHandler",
		"/api/proxy":                                  api + "proxy.ProxyAPIHandler",
		"/api/health":                                 pages + "pages.HealthCheckHandler",
		"/api/metrics":                                pages + "metrics.MetricsHandler",
		"/api/user":                                   api + "users.SelfAPIHandler",
		"/api/users":                                  api + "users.UserListAPIHandler",
		"/api/users/{name}":                           api + "users.UserAPIHandler",
		"/api/users/{name}/activity":                  api + "users.ActivityAPIHandler",
		"/api/users/{name}/admin-access":              api + "users.UserAdminAccessAPIHandler",
		"/api/users/{name}/shared":                    api + "shares.UserShareListAPIHandler",
		"/api/groups/{group}/shared":                  api + "shares.GroupShareListAPIHandler",
		"/api/users/{name}/tokens":                    api + "users.UserTokenListAPIHandler",
		"/api/users/{name}/tokens/{token}":            api + "users.UserTokenAPIHandler",
		"/api/groups":                                 api + "groups.GroupListAPIHandler",
		"/api/groups/{group}":                         api + "groups.GroupAPIHandler",
		"/api/groups/{group}/users":                   api + "groups.GroupUsersAPIHandler",
		"/api/groups/{group}/properties":              api + "groups.GroupPropertiesAPIHandler",
		"/api/services":                               api + "services.ServiceListAPIHandler",
		"/api/services/{service}":                     api + "services.ServiceAPIHandler",
		"/api/oauth2/authorize":                       api + "auth.OAuthAuthorizeHandler",
		"/api/oauth2/token":                           api + "auth.OAuthTokenHandler",
		"/api/authorizations/token/{secret}":          api + "auth.TokenAPIHandler",
		"/api/authorizations/cookie/{cookie}":         api + "auth.CookieAPIHandler",
		"/api/authorizations/cookie/{cookie}/{value}": api + "auth.CookieAPIHandler",

		"/":                    pages + "pages.RootHandler",
		"/home":                pages + "pages.HomeHandler",
		"/admin":               pages + "pages.AdminHandler",
		"/token":               pages + "pages.TokenPageHandler",
		"/spawn":               pages + "pages.SpawnHandler",
		"/accept-share":        pages + "pages.AcceptShareHandler",
		"/error/{code}":        pages + "pages.ProxyErrorHandler",
		"/health":              pages + "pages.HealthCheckHandler",
		"/metrics":             pages + "metrics.MetricsHandler",
		"/login":               pages + "login.LoginHandler",
		"/logout":              pages + "login.LogoutHandler",
		"/static/{file}":       pages + "static.CacheControlStaticFilesHandler",
		"/logo":                pages + "static.LogoHandler",
		"/security/csp-report": pages + "base.CSPReportHandler",
		"/user/{user}":         pages + "base.UserUrlHandler",
		"/user/{user}/*":       pages + "base.UserUrlHandler",
		"/user-redirect":       pages + "base.UserRedirectHandler",
		"/user-redirect/*":     pages + "base.UserRedirectHandler",
		"/oauth_login/{id}":    "oauthenticator.oauth2.OAuthLoginHandler",
		"/oauth_callback/{id}": "oauthenticator.oauth2.OAuthCallbackHandler",
	}
	for _, server := range []string{"/server", "/servers", "/servers/{server}"} { // of a route that ends with a slash, the pattern is told without it
		names["/api/users/{name}"+server] = api + "users.UserServerAPIHandler"
	}
	for _, server := range []string{"/server", "/servers/", "/servers/{server}"} {
		names["/api/users/{name}"+server+"/progress"] = api + "users.SpawnProgressAPIHandler"
	}
	for _, server := range []string{"", "/{server}"} {
		names["/api/shares/{name}"+server] = api + "shares.ServerShareAPIHandler"
		names["/api/share-codes/{name}"+server] = api + "shares.ServerShareCodeAPIHandler"
		names["/api/users/{name}/shared/{owner}"+server] = api + "shares.UserShareAPIHandler"
		names["/api/groups/{group}/shared/{owner}"+server] = api + "shares.GroupShareAPIHandler"
	}
	for _, user := range []string{"/{user}", "/{user}/{server}"} {
		names["/spawn"+user], names["/spawn-pending"+user] = pages+"pages.SpawnHandler", pages+"pages.SpawnPendingHandler"
	}
	return names
}()

// handlerName is a label for a route: never a name or a path that a client chose.
func handlerName(pattern string) string {
	if pattern == "" {
		return "none"
	}
	if name, ok := handlerNames[pattern]; ok {
		return name
	}
	return pattern
}

// pageMetrics are JupyterHub's metrics that are about certain requests.
type pageMetrics struct {
	logins  *prometheus.HistogramVec
	logouts prometheus.Histogram
	reports prometheus.Counter
	polls   prometheus.Histogram
}

// jupyterBuckets are those that JupyterHub's metrics have where it says nothing else, in seconds.
func jupyterBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

func newPageMetrics(r prometheus.Registerer) pageMetrics {
	m := pageMetrics{
		logins: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jupyterhub_login_duration_seconds", Help: "Duration of logins.", Buckets: jupyterBuckets(),
		}, []string{"status"}),
		logouts: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jupyterhub_logout_duration_seconds", Help: "Duration of logouts.", Buckets: jupyterBuckets(),
		}),
		reports: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jupyterhub_csp_reports_total", Help: "Reports of browsers that a page broke its content policy.",
		}),
		polls: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jupyterhub_proxy_poll_duration_seconds", Help: "Duration of requests for all routes.", Buckets: jupyterBuckets(),
		}),
	}
	if r != nil {
		r.MustRegister(m.logins, m.logouts, m.reports, m.polls)
	}
	return m
}

// observer is what is told how long requests of a kind took, if JupyterHub has a metric of its own for them; else nil.
func (m pageMetrics) observer(method, pattern string, status int) prometheus.Observer {
	switch method + " " + pattern {
	case "POST /login", "POST /login/link", "GET /oauth_callback/{id}":
		result := "LoginStatus.success" // literally so in JupyterHub
		if status >= http.StatusBadRequest {
			result = "LoginStatus.failure"
		}
		return m.logins.WithLabelValues(result)
	case "GET /logout":
		return m.logouts
	case "POST /security/csp-report":
		return prometheus.ObserverFunc(func(float64) { m.reports.Inc() })
	case "GET /api/proxy":
		return m.polls
	}
	return nil
}
