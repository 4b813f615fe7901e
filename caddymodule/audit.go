package caddymodule

import (
	"context"
	"net"
	"net/http"

	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
)

// The causes of revocations, as the audit log names them.
const (
	causeLogout = "logout" // the API's own call
	causeReset  = "reset"  // the API's call that ends all sessions of another client
	causeAdmin  = "admin"  // the admin API
)

// attempt is a revocation that somebody asks for. It holds identifiers, which cannot be
// presented as credentials.
type attempt struct {
	cause string
	// from is the address that asks for it.
	from string
	// by is whose credential asks for it, where that is another's; nil otherwise.
	by *revocation.Identity
	// of is the credential that says what is revoked; nil if it was named.
	of *revocation.Identity

	scope     revocation.Scope
	kind      revocation.Kind // of a client
	realm, id string
}

// revoke is record for a caller that answers the request of a client.
func (a *App) revoke(
	r *http.Request, asked attempt, write func(context.Context, *revocation.List) (revocation.Entry, error),
) *refusal {
	if _, err := a.record(r, asked, write); err != nil {
		return &refusal{reason: dialect.Unavailable, err: err}
	}
	return nil
}

// record has write make a revocation, durably or not at all, and tells of it in the audit
// log. It does not end with the request.
func (a *App) record(
	r *http.Request, asked attempt, write func(context.Context, *revocation.List) (revocation.Entry, error),
) (revocation.Entry, error) {
	entry, err := revocation.Entry{}, revocation.ErrClosed
	if list := a.list(r.Context()); list != nil {
		ctx, cancel := recordContext(r)
		defer cancel()
		entry, err = write(ctx, list)
	}
	a.tell(asked, entry, err)
	return entry, err
}

// tell writes the one audit line of a revocation: what is stored, or that it is not known
// to be.
func (a *App) tell(asked attempt, entry revocation.Entry, err error) {
	fields := make([]zap.Field, 0, 12)
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, zap.String(name, value))
		}
	}
	fields = append(fields, zap.String("cause", asked.cause), zap.Stringer("scope", asked.scope))
	if err != nil {
		fields = append(fields, zap.String("realm", asked.realm), zap.String("id", asked.id))
	} else {
		_, id := nameOf(entry)
		fields = append(fields, zap.String("realm", entry.Realm), zap.String("id", id),
			zap.Time("at", entry.At), zap.Time("kept_until", keptUntil(entry)))
	}
	if asked.kind == revocation.KindAPIKey {
		add("kind", asked.kind.String())
	}
	if asked.of != nil {
		add("token", asked.of.Token())
		add("session", asked.of.Session())
		add("client", asked.of.Client())
	}
	if asked.by != nil {
		add("by_realm", asked.by.Realm())
		add("by_client", asked.by.Client())
		add("by_token", asked.by.Token())
	}
	add("remote_ip", asked.from)
	if err != nil {
		a.audit.Error("not revoked", append(fields, zap.Error(err))...)
		return
	}
	a.audit.Info("revoked", fields...)
}

// auditAddr is the address of who sends r, as the audit log has it.
func auditAddr(r *http.Request) string {
	if addr := clientAddr(r); addr.IsValid() {
		return addr.String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // of a Unix socket
	}
	return host
}

// kindOf is whose client a revocation of the given scope is about.
func kindOf(id *revocation.Identity, scope revocation.Scope) revocation.Kind {
	if scope == revocation.ScopeClient {
		return id.Kind()
	}
	return revocation.KindSubject
}

// identifierOf is what a revocation of the given scope is about.
func identifierOf(id *revocation.Identity, scope revocation.Scope) string {
	switch scope {
	case revocation.ScopeToken:
		return id.Token()
	case revocation.ScopeSession:
		return id.Session()
	case revocation.ScopeClient:
		return id.Client()
	default:
		return ""
	}
}
