package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/request"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token/apikey"
)

// APIKey says where requests carry an API key. A logout with one ends its session; the key
// itself goes on working, and its next use without a session begins a new one.
type APIKey struct {
	// Header is the field that carries the key. Default: X-API-Key.
	Header string `json:"header,omitempty"`
	// Keys maps the name of a key, by which the list knows the client among those with API
	// keys, to its hash:
	// "sha256:" and the hexadecimal SHA-256 of the key. Without Keys and Files, the
	// API judges whether a key is valid.
	Keys map[string]string `json:"keys,omitempty"`
	// Files are read besides Keys and again when they change. Each line is a name and
	// a hash; # begins a comment. Placeholders are replaced.
	Files []string `json:"files,omitempty"`
	// SessionHeader is the field that names the session, in requests, answers and
	// towards the upstream. Default: X-Session-ID.
	SessionHeader string `json:"session_header,omitempty"`
	// SessionCookie is the cookie that does the same. Default: the name of the header.
	SessionCookie string `json:"session_cookie,omitempty"`
}

// apiKeys judges API keys, for one handler. A nil one knows none.
type apiKeys struct {
	source apiKeySource
	keys   *apikey.Source // nil: the API judges
	realm  string
	maxAge time.Duration
	names  [2]string // of the claims of client and session
}

// newAPIKeys returns nil if config is nil.
func (h *Handler) newAPIKeys(config *APIKey) (*apiKeys, error) {
	if config == nil {
		return nil, nil
	}
	source, err := newAPIKeySource(config)
	if err != nil {
		return nil, err
	}
	for _, name := range []request.Name{source.header, source.session} {
		if request.Resemble(h.sources.headers, name.String()) || h.forward.has(name.String()) {
			return nil, fmt.Errorf("header %s has another use already", name)
		}
	}
	realm, ok := h.onlyRealm()
	if !ok {
		return nil, errors.New("with several issuers it cannot be told whose an API key is: add a line realm <name>")
	}
	if request.Resemble(h.sources.cookies, source.cookie.String()) {
		return nil, fmt.Errorf("cookie %s has another use already", source.cookie)
	}
	if err := h.app.needsDigests(); err != nil {
		return nil, err
	}
	a := &apiKeys{
		source: source, realm: realm, maxAge: h.maxAge(),
		names: [2]string{orDefault(h.ClientClaim, "sub"), orDefault(h.SessionClaim, "sid")},
	}
	if len(config.Keys)+len(config.Files) == 0 {
		return a, nil
	}
	files := make([]string, len(config.Files))
	for i, name := range config.Files {
		if files[i], err = replace(name); err != nil {
			return nil, err
		}
	}
	a.keys, err = apikey.Open(config.Keys, files, func(n int, err error) {
		if err != nil {
			h.log.Error("API keys not reloaded, the last good ones stay in force", zap.Error(err))
			return
		}
		h.log.Info("API keys reloaded", zap.Strings("files", files), zap.Int("keys", n))
		h.app.shared.live.recheckHere(func(of *Handler) bool { return of == h })
	})
	return a, err
}

func newAPIKeySource(config *APIKey) (apiKeySource, error) {
	names := []string{orDefault(config.Header, "X-API-Key"), orDefault(config.SessionHeader, "X-Session-ID")}
	cookie := orDefault(config.SessionCookie, names[1])
	for i, name := range names {
		names[i] = textproto.CanonicalMIMEHeaderKey(name)
		if !httpguts.ValidHeaderFieldName(name) || reservedHeaders[names[i]] {
			return apiKeySource{}, fmt.Errorf("header %q cannot carry an API key or a session", name)
		}
	}
	header, session := request.NewName(names[0]), request.NewName(names[1])
	if header.Resembles(names[1]) {
		return apiKeySource{}, fmt.Errorf("header %s cannot carry both the key and the session", names[0])
	}
	if !httpguts.ValidHeaderFieldName(cookie) {
		return apiKeySource{}, fmt.Errorf("%q is not the name of a cookie", cookie)
	}
	return apiKeySource{header: header, session: session, cookie: request.NewName(cookie)}, nil
}

// close stops following the files.
func (a *apiKeys) close() error {
	if a == nil || a.keys == nil {
		return nil
	}
	return a.keys.Close()
}

// errUnknownAPIKey says that no such key is configured.
var errUnknownAPIKey = errors.New("unknown API key")

// verifyAPIKey finds out whose API key this is, and which session of it.
func (h *Handler) verifyAPIKey(ctx context.Context, found credential) (caller, error) {
	a := h.apiKeys
	digests := h.app.digests(ctx)
	if digests == nil {
		return caller{}, unavailableError{revocation.ErrClosed}
	}
	if len(found.text) > apikey.MaxKeyLength {
		return caller{}, errUnknownAPIKey
	}
	c := caller{unproven: a.keys == nil}
	client, ok := a.client(digests, found.text)
	if !ok {
		return caller{}, errUnknownAPIKey
	}
	session, err := a.session(digests, client, found.session, &c)
	if err != nil {
		return caller{}, err
	}
	c.session = &session
	if a.keys != nil {
		c.withdrawn = func() bool {
			name, ok := a.keys.Lookup(found.text)
			return !ok || name != client
		}
	}
	c.identity = revocation.NewAPIKeyIdentity(a.realm, session.ID, client, session.Begun)
	c.claims = apiKeyClaims{a, c.identity}
	c.ages = ageLimit(c.identity, a.maxAge)
	return c, nil
}

// client returns whose key this is.
func (a *apiKeys) client(digests *digests, key string) (name string, ok bool) {
	if a.keys == nil {
		return apiKeyPrefix + digests.keys.Digest(key), true
	}
	return a.keys.Lookup(key)
}

// session returns the session that the request names, or a new one: also in place of one
// that is older than revocations are remembered, since whoever has the key may begin one.
func (a *apiKeys) session(digests *digests, client, text string, c *caller) (apikey.Session, error) {
	if text != "" {
		session, err := digests.sessions.Parse(client, text)
		if err != nil || time.Since(session.Begun) < a.maxAge {
			return session, err
		}
	}
	c.begun = true
	return digests.sessions.Begin(client), nil
}

// apiKeyPrefix begins the names of keys whose validity is left to the API.
const apiKeyPrefix = "api-key:"

// apiKeyClaims are the claims of an API key's session.
type apiKeyClaims struct {
	of *apiKeys
	id *revocation.Identity
}

// Claim implements claimSource.
func (c apiKeyClaims) Claim(name string) (string, bool) {
	switch name {
	case c.of.names[0]:
		return c.id.Client(), true
	case c.of.names[1]:
		return c.id.Session(), true
	default:
		return "", false
	}
}

// nameSession tells the upstream which session a request belongs to, and the client, if
// it is a new one, once the API has not refused the key.
func (a *apiKeys) nameSession(w http.ResponseWriter, r *http.Request, c *caller) http.ResponseWriter {
	r.Header[a.source.session.String()] = []string{c.session.Text}
	s := &sessionWriter{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		source:                &a.source, secure: r.TLS != nil,
	}
	if c.begun {
		s.text = c.session.Text
	}
	return s
}

// sessionWriter adds the name of a new session to the answer, and takes off what the API
// says about one under the same name: the client would present that.
type sessionWriter struct {
	*caddyhttp.ResponseWriterWrapper
	source *apiKeySource
	text   string // "" for a session that the client knows
	secure bool
	done   bool
}

// WriteHeader implements http.ResponseWriter.
func (w *sessionWriter) WriteHeader(status int) {
	refused := status == http.StatusUnauthorized || status == http.StatusForbidden
	if status >= http.StatusOK && !w.done {
		w.done = true
		delete(w.Header(), w.source.session.String())
		if w.text != "" && !refused {
			w.Header()[w.source.session.String()] = []string{w.text}
			http.SetCookie(w, w.source.newCookie(w.text, w.secure, 0))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *sessionWriter) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *sessionWriter) ReadFrom(from io.Reader) (int64, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.ReadFrom(from)
}

// newCookie is the cookie of a session; with maxAge -1 it deletes it.
func (s *apiKeySource) newCookie(text string, secure bool, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever the request came by TLS
		Name: s.cookie.String(), Value: text, Path: "/", HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteLaxMode, MaxAge: maxAge,
	}
}

// forgetCookie has a client forget the cookie of a session that is no good any more, which
// it would go on presenting.
func (a *apiKeys) forgetCookie(w http.ResponseWriter, r *http.Request) {
	if a == nil || !slices.ContainsFunc(r.Header["Cookie"], func(field string) bool { return strings.Contains(field, a.source.cookie.String()) }) {
		return
	}
	http.SetCookie(w, a.source.newCookie("", r.TLS != nil, -1))
}
