package compat

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	stubVariable = "COMPAT_STUB"
	// stubLife bounds a stub that nobody ends.
	stubLife = 15 * time.Minute
)

// runStub is the server of a user, at either hub: it answers everything, and tells the secrets that it was given. Of one user it never answers, of another it
// ends at once.
func runStub() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, stubLife)
	defer cancel()
	go endWithParent(ctx, cancel)
	switch os.Getenv("JUPYTERHUB_USER") {
	case "fay":
		return 1
	case "sloan":
		<-ctx.Done()
		return 0
	}
	at, err := url.Parse(os.Getenv("JUPYTERHUB_SERVICE_URL"))
	if err != nil {
		return 1
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at.Host)
	if err != nil {
		return 1
	}
	server := &http.Server{Handler: http.HandlerFunc(answerAsStub), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.Serve(l)
	return 0
}

// endWithParent ends a stub whose hub is gone.
func endWithParent(ctx context.Context, end func()) {
	parent := os.Getppid()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				end()
				return
			}
		}
	}
}

func answerAsStub(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-JupyterHub-Version", "5.5.1")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"token": os.Getenv("JUPYTERHUB_API_TOKEN"), "client": os.Getenv("JUPYTERHUB_CLIENT_ID"), "prefix": os.Getenv("JUPYTERHUB_SERVICE_PREFIX"),
		"callback": os.Getenv("JUPYTERHUB_OAUTH_CALLBACK_URL"),
	})
}
