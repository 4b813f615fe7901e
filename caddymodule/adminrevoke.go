package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"example.com/caddy-token-auth/revocation"
)

// revokeRequest names what is to be revoked: by a token, or by its identifier.
type revokeRequest struct {
	// Token says which token, session or client, by Scope; token by default. It must be
	// genuine, as far as the sidecar can tell, and may have expired.
	Token string `json:"token"`
	Scope string `json:"scope"`
	// ID is the identifier of a token, session or client. Realm may be left out where there is
	// one only.
	ID    string  `json:"id"`
	Realm *string `json:"realm"`
	// Kind of a client that ID names: "subject", whom tokens name, or "api_key". Default: both
	// where the realm has API keys.
	Kind string `json:"kind"`
	// Site is one site, by number or host name. Default: all.
	Site string `json:"site"`
}

// revokeAnswer says what is stored.
type revokeAnswer struct {
	Revoked []entryAnswer `json:"revoked"`
	// Expired says that the token has expired, so that there is nothing to revoke.
	Expired bool `json:"expired,omitempty"`
	// Unproven are the sites that take the token although only the API knows whether it is
	// genuine, so that any text is taken.
	Unproven []siteName `json:"unproven,omitempty"`
	// Unverified are the sites that do not take the token, and why.
	Unverified []unverified `json:"unverified,omitempty"`
}

// unverified is a site that does not take a token: which check failed, and why.
type unverified struct {
	siteName
	Check  string `json:"check"`
	Detail string `json:"detail"`
}

// target is one revocation that a request asks for.
type target struct {
	scope     revocation.Scope
	kind      revocation.Kind // of a client
	realm, id string
	of        *revocation.Identity // nil if it was named
}

var (
	errTokenOrID   = errors.New("want a token, or a scope and an id")
	errNamesNone   = errors.New("the token names none")
	errUndated     = errors.New("nobody knows when the token was issued: only the token itself can be revoked")
	errManyRealms  = errors.New("there are several realms: name one")
	errOtherRealm  = errors.New("no site has this realm")
	errTokensRealm = errors.New("a token has its own realm, kind and id")
	errKind        = errors.New("kind: want subject or api_key, of a client that an id names")
	errNoAPIKeys   = errors.New("no site with this realm takes API keys")
)

// serveRevoke revokes durably, or answers 503.
func (*adminAPI) serveRevoke(w http.ResponseWriter, r *http.Request) error {
	var asked revokeRequest
	if err := readAdminRequest(w, r, &asked); err != nil {
		return err
	}
	if asked.Scope == "" && asked.Token != "" {
		asked.Scope = revocation.ScopeToken.String()
	}
	scope, err := asked.check()
	if err != nil {
		return adminError(http.StatusBadRequest, err)
	}
	app, sites, err := runningApp(w)
	if err != nil {
		return err
	}
	if sites, err = selectSites(sites, asked.Site); err != nil {
		return err
	}
	answer := revokeAnswer{Revoked: []entryAnswer{}}
	var targets []target
	if asked.Token == "" {
		targets, err = namedTargets(sites, scope, &asked)
	} else {
		targets, err = answer.targets(r.Context(), w, sites, scope, asked.Token)
	}
	if err != nil {
		return err
	}
	for i := range targets {
		entry, err := app.record(r, targets[i].attempt(r), targets[i].revoke)
		if err != nil {
			return unavailable(w, fmt.Errorf("%d of %d revocations are stored: %w", i, len(targets), err))
		}
		answer.Revoked = append(answer.Revoked, answerOf(entry))
	}
	return writeAdminAnswer(w, answer)
}

// check checks what can be checked without looking at the token.
func (asked *revokeRequest) check() (revocation.Scope, error) {
	switch {
	case (asked.Token == "") == (asked.ID == ""):
		return 0, errTokenOrID
	case asked.Token != "" && (asked.Realm != nil || asked.Kind != ""):
		return 0, errTokensRealm
	case asked.Kind != "" && (asked.Scope != revocation.ScopeClient.String() || !isKind(asked.Kind)):
		return 0, errKind
	}
	scope, err := revocation.ParseScope(asked.Scope)
	if err != nil {
		return 0, errors.New("scope: want token, session or client")
	}
	return scope, nil
}

// isKind reports whether there is a kind of clients with this name.
func isKind(name string) bool {
	return name == revocation.KindSubject.String() || name == revocation.KindAPIKey.String()
}

// namedTargets is what a request names by an identifier. A realm that no site has is a
// mistake: nothing would be revoked.
func namedTargets(sites []adminSite, scope revocation.Scope, asked *revokeRequest) ([]target, error) {
	var realms []string
	for _, site := range sites {
		realms = append(realms, site.handler.realms()...)
	}
	slices.Sort(realms)
	realms = slices.Compact(realms)
	switch {
	case asked.Realm == nil && len(realms) != 1:
		return nil, adminError(http.StatusBadRequest, fmt.Errorf("%w: %q", errManyRealms, realms))
	case asked.Realm == nil:
		asked.Realm = &realms[0]
	case !slices.Contains(realms, *asked.Realm):
		return nil, adminError(http.StatusUnprocessableEntity, fmt.Errorf("%w: there is %q", errOtherRealm, realms))
	}
	if scope != revocation.ScopeClient {
		return []target{{scope: scope, realm: *asked.Realm, id: asked.ID}}, nil
	}
	hasAPIKeys := slices.ContainsFunc(sites, func(site adminSite) bool {
		return site.handler.apiKeys != nil && site.handler.apiKeys.realm == *asked.Realm
	})
	var targets []target
	for _, kind := range []revocation.Kind{revocation.KindSubject, revocation.KindAPIKey} {
		if asked.Kind == kind.String() || asked.Kind == "" && (kind == revocation.KindSubject || hasAPIKeys) {
			targets = append(targets, target{scope: scope, kind: kind, realm: *asked.Realm, id: asked.ID})
		}
	}
	if asked.Kind == revocation.KindAPIKey.String() && !hasAPIKeys {
		return nil, adminError(http.StatusUnprocessableEntity, errNoAPIKeys)
	}
	return targets, nil
}

// targets is what a token names, at each site that takes it: they may read it differently.
func (answer *revokeAnswer) targets(
	ctx context.Context, w http.ResponseWriter, sites []adminSite, scope revocation.Scope, raw string,
) ([]target, error) {
	var targets []target
	down := false
	for _, site := range sites {
		h := site.handler
		found := credential{text: raw, held: true}
		c, err := h.verify(ctx, found)
		expired := failedCheck(err) == checkExpired
		if expired {
			c, err = h.verifyEver(ctx, found)
		}
		if err == nil {
			err = nameable(c.identity, scope)
		}
		switch {
		case err != nil:
			check := failedCheck(err)
			down = down || check == checkUnavailable
			answer.Unverified = append(answer.Unverified, unverified{site.siteName, check, err.Error()})
		case expired && scope == revocation.ScopeToken:
			answer.Expired = true
		default:
			if c.unproven {
				answer.Unproven = append(answer.Unproven, site.siteName)
			}
			t := target{scope: scope, realm: c.identity.Realm(), id: identifierOf(c.identity, scope), of: c.identity}
			if !slices.ContainsFunc(targets, t.same) {
				targets = append(targets, t)
			}
		}
	}
	switch {
	case len(targets) > 0 || answer.Expired && !down:
		return targets, nil
	case down:
		return nil, unavailable(w, answer.refusals())
	}
	return nil, adminError(http.StatusUnprocessableEntity, answer.refusals())
}

// nameable reports why a revocation of this scope cannot be made of a token.
func nameable(id *revocation.Identity, scope revocation.Scope) error {
	switch {
	case id.Undated() && scope != revocation.ScopeToken:
		return errUndated
	case identifierOf(id, scope) == "":
		return fmt.Errorf("%w: %s", errNamesNone, scope)
	}
	return nil
}

// refusals says why no site takes the token.
func (answer *revokeAnswer) refusals() error {
	texts := make([]string, len(answer.Unverified))
	for i, site := range answer.Unverified {
		texts[i] = fmt.Sprintf("%s: %s", site.siteName, site.Detail)
	}
	return errors.New("not revoked: " + strings.Join(texts, "; "))
}

func (t *target) attempt(r *http.Request) attempt {
	return attempt{cause: causeAdmin, from: auditAddr(r), of: t.of, scope: t.scope, kind: t.kind, realm: t.realm, id: t.id}
}

func (t *target) revoke(ctx context.Context, list *revocation.List) (revocation.Entry, error) {
	switch {
	case t.of != nil:
		return list.Revoke(ctx, t.of, t.scope)
	case t.kind == revocation.KindAPIKey:
		return list.RevokeAPIKey(ctx, t.realm, t.id)
	}
	return list.RevokeNamed(ctx, t.scope, t.realm, t.id)
}

func (t target) same(other target) bool {
	return t.scope == other.scope && t.kind == other.kind && t.realm == other.realm && t.id == other.id
}
