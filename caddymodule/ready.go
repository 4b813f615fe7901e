package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"example.com/caddy-token-auth/revocation"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminAPI are the endpoints below /token_auth of Caddy's admin API.
type adminAPI struct{}

// CaddyModule implements caddy.Module.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.token_auth",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/token_auth/ready", Handler: caddy.AdminHandlerFunc(a.serveReady)},
		{Pattern: "/token_auth/revoke", Handler: caddy.AdminHandlerFunc(a.serveRevoke)},
		{Pattern: "/token_auth/list", Handler: caddy.AdminHandlerFunc(a.serveList)},
		{Pattern: "/token_auth/explain", Handler: caddy.AdminHandlerFunc(a.serveExplain)},
	}
}

// serveReady answers 200 if the running configuration can judge credentials, else 503.
func (*adminAPI) serveReady(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("want GET"), Message: "want GET"}
	}
	active := caddy.ActiveContext()
	err := errNoApp
	if active.Context != nil {
		if app, appErr := active.AppIfConfigured("token_auth"); appErr == nil {
			err = app.(*App).ready(r.Context())
		}
	}
	return writeReady(w, err)
}

var errNoApp = errors.New("the running configuration has no token_auth")

// readyTimeout bounds a look at whether the list can answer.
const readyTimeout = 2 * time.Second

// ready returns nil if requests can be judged, or are let through unchecked, and the process
// is not about to end, and otherwise what is missing.
func (a *App) ready(ctx context.Context) error {
	if caddy.Exiting() {
		return errEnding
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := a.listReady(ctx); err != nil {
		return err
	}
	for _, keys := range a.keys {
		if err := keys(); err != nil {
			return err
		}
	}
	return nil
}

// listReady returns nil if no request is refused for want of the list.
func (a *App) listReady(ctx context.Context) error {
	if list := a.shared.list.Load(); list != nil {
		if a.allowsUnchecked {
			return nil
		}
		return list.Ready(ctx)
	}
	err := fmt.Errorf("the store has not been reached: %w", revocation.ErrClosed)
	if !a.allowsUnchecked {
		return err
	}
	select {
	case <-a.shared.opened:
		return nil
	default:
		return err // requests wait for the first try
	}
}

// writeReady answers a probe.
func writeReady(w http.ResponseWriter, err error) error {
	answer := struct {
		Ready  bool   `json:"ready"`
		Reason string `json:"reason,omitempty"`
	}{Ready: err == nil}
	status := http.StatusOK
	if err != nil {
		answer.Reason, status = err.Error(), http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// serveReady answers a probe at a path of the site. Why it is not ready is for the log and
// the admin API alone.
func (h *Handler) serveReady(w http.ResponseWriter, r *http.Request) error {
	err := h.app.ready(r.Context())
	if err != nil || ending(r) {
		err = errNotReady
	}
	return writeReady(w, err)
}

var (
	errNotReady = errors.New("not ready")
	errEnding   = errors.New("the process is about to end")
)

// ending reports whether the port that a request came to is about to be closed: by a reload,
// if not by the end of the process.
func ending(r *http.Request) bool {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	closing, _ := repl.Get("http.shutting_down")
	return closing == true
}

var _ caddy.AdminRouter = (*adminAPI)(nil)
