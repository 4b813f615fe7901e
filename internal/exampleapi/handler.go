package exampleapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// MinSecretBytes is the shortest Options.Secret: HS256 needs a key at least as
// long as its hash (RFC 7518 §3.2).
const MinSecretBytes = sha256.Size

// Default lifetimes of tokens, as the Octopus Cards API documents them.
const (
	DefaultAccessLifetime  = time.Hour
	DefaultRefreshLifetime = 7 * 24 * time.Hour
)

// Errors of New.
var (
	ErrShortSecret = fmt.Errorf("exampleapi: the secret has fewer than %d bytes", MinSecretBytes)
	ErrNoClients   = errors.New("exampleapi: no clients")
	ErrBadClient   = errors.New("exampleapi: a client needs a key, a secret and a positive ID of its own")
	ErrLifetime    = errors.New("exampleapi: a token must live for at least a second")
)

// Client is one customer of the API.
type Client struct {
	// Secret is what the client gives as password.
	Secret string
	// ID is the integer that answers carry as client_id, and tokens, as a
	// string, as sub.
	ID int64
}

// Options configures a Handler.
type Options struct {
	// Secret signs and verifies tokens with HS256. At least MinSecretBytes.
	Secret []byte
	// Clients maps each API key, the username at login, to its client.
	Clients map[string]Client
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// AccessLifetime is how long an access token lives, in whole seconds.
	// Default: DefaultAccessLifetime.
	AccessLifetime time.Duration
	// RefreshLifetime is how long a refresh token lives, in whole seconds.
	// Default: DefaultRefreshLifetime.
	RefreshLifetime time.Duration
}

// Handler serves the API. New makes one.
type Handler struct {
	issuer  issuer
	clients map[string]Client
	now     func() time.Time
	routes  map[string]map[string]http.HandlerFunc // path, method
}

// New returns the API, or an error that wraps one of this package's.
func New(opts Options) (*Handler, error) {
	if len(opts.Secret) < MinSecretBytes {
		return nil, ErrShortSecret
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.AccessLifetime == 0 {
		opts.AccessLifetime = DefaultAccessLifetime
	}
	if opts.RefreshLifetime == 0 {
		opts.RefreshLifetime = DefaultRefreshLifetime
	}
	if opts.AccessLifetime < time.Second || opts.RefreshLifetime < time.Second {
		return nil, ErrLifetime
	}

	ids, err := clientIDs(opts.Clients)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		issuer: issuer{
			secret:  slices.Clone(opts.Secret),
			clients: ids,
			now:     opts.Now,
			access:  opts.AccessLifetime,
			refresh: opts.RefreshLifetime,
		},
		clients: maps.Clone(opts.Clients),
		now:     opts.Now,
	}
	h.routes = map[string]map[string]http.HandlerFunc{
		"/auth/login":   {http.MethodPost: h.login},
		"/auth/refresh": {http.MethodPost: h.refresh},
		"/v1/cards":     {http.MethodGet: h.authenticated(h.cards)},
		"/v1/events":    {http.MethodGet: h.authenticated(h.events)},
		"/health":       {http.MethodGet: h.health},
	}
	return h, nil
}

// clientIDs checks the clients and returns the set of their IDs.
func clientIDs(clients map[string]Client) (map[int64]bool, error) {
	if len(clients) == 0 {
		return nil, ErrNoClients
	}
	ids := make(map[int64]bool, len(clients))
	for key, c := range clients {
		if key == "" || c.Secret == "" || c.ID <= 0 || ids[c.ID] {
			return nil, ErrBadClient
		}
		ids[c.ID] = true
	}
	return ids, nil
}

// ServeHTTP answers one request. Paths are compared as they are, without
// cleaning or redirects, so that there is one spelling of each.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")

	methods, ok := h.routes[r.URL.Path]
	if !ok {
		writeError(w, errNotFound)
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	serve, ok := methods[method]
	if !ok {
		w.Header().Set("Allow", allow(methods))
		writeError(w, errMethodNotAllowed)
		return
	}
	serve(w, r)
}

// allow lists the methods for the Allow header (RFC 9110 §10.2.1).
func allow(methods map[string]http.HandlerFunc) string {
	names := slices.Sorted(maps.Keys(methods))
	if _, ok := methods[http.MethodGet]; ok {
		names = append(names, http.MethodHead)
	}
	return strings.Join(names, ", ")
}

// Interface guard.
var _ http.Handler = (*Handler)(nil)
