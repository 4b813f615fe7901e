package caddymodule

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// answerPaths says where the answer to a login or refresh has what it issues.
type answerPaths struct {
	access, refresh, client, session jsonPath
	accessExpires, refreshExpires    jsonPath
}

func newAnswerPaths(login *Login) (answerPaths, error) {
	var paths answerPaths
	for _, p := range []struct {
		text string
		to   *jsonPath
	}{
		{login.Access, &paths.access},
		{login.Refresh, &paths.refresh},
		{login.Client, &paths.client},
		{login.Session, &paths.session},
		{login.AccessExpires, &paths.accessExpires},
		{login.RefreshExpires, &paths.refreshExpires},
	} {
		var err error
		if *p.to, err = parseJSONPath(p.text); err != nil {
			return answerPaths{}, err
		}
	}
	return paths, nil
}

// issued is what an answer hands out.
type issued struct {
	access, refresh string // raw tokens, "" if there is none
	client, session string // as the answer names them, "" if it does not
	// accessExpires and refreshExpires are when the tokens expire, or zero.
	accessExpires, refreshExpires time.Time
}

// read finds what a successful answer issues. An answer without tokens issues nothing.
func (paths *answerPaths) read(body []byte) (issued, error) {
	var found issued
	var expires [2]string
	for _, p := range []struct {
		path jsonPath
		to   *string
	}{
		{paths.access, &found.access},
		{paths.refresh, &found.refresh},
		{paths.client, &found.client},
		{paths.session, &found.session},
		{paths.accessExpires, &expires[0]},
		{paths.refreshExpires, &expires[1]},
	} {
		if len(p.path) == 0 {
			continue
		}
		var err error
		if *p.to, err = p.path.find(body); err != nil {
			return issued{}, err
		}
	}
	now := time.Now()
	found.accessExpires = parseExpiry(expires[0], now)
	found.refreshExpires = parseExpiry(expires[1], now)
	return found, nil
}

// The smallest numbers that are a Unix time and not a number of seconds from now, in
// seconds and in milliseconds: both are in the year 2001.
const (
	leastUnixTime  = 1_000_000_000
	leastUnixMilli = 1_000_000_000_000
)

// parseExpiry reads when a token expires. What cannot be read says nothing: then the token
// counts as one that lives as long as any may.
func parseExpiry(text string, now time.Time) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && n >= leastUnixMilli && n < leastUnixMilli*100:
		return time.UnixMilli(n)
	case err == nil && n >= leastUnixTime && n < leastUnixTime*100:
		return time.Unix(n, 0)
	case err == nil && n > 0 && n < leastUnixTime:
		return now.Add(time.Duration(n) * time.Second)
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.After(now) {
		return at
	}
	return time.Time{}
}

// onlyRealm returns the realm of credentials that name none. ok is false if there are
// several that could be meant.
func (h *Handler) onlyRealm() (realm string, ok bool) {
	switch {
	case h.Realm != "" || len(h.Issuers) == 0:
		return h.Realm, true
	case len(h.Issuers) == 1:
		return h.Issuers[0], true
	default:
		return "", false
	}
}

// issuanceOf returns what is recorded of a token: what it says itself, completed by what is
// known of its owner. The session of a login that names none is made up.
func (h *Handler) issuanceOf(ctx context.Context, t newToken, owner *revocation.Issuance) (revocation.Issuance, error) {
	if owner.Session == "" {
		owner.Session = "login:" + rand.Text()
	}
	seen := *owner
	seen.Use = t.use
	if t.id != nil {
		seen.Realm, seen.Token = t.id.Realm(), t.id.Token()
		seen.IssuedAt, seen.Expires = t.id.IssuedAt(), t.id.Expires()
		seen.Client = firstOf(t.id.Client(), owner.Client)
		seen.Session = firstOf(t.id.Session(), owner.Session)
		return seen, nil
	}
	named, err := h.opaque.named(ctx, h.app, t.raw)
	if err != nil {
		return revocation.Issuance{}, err
	}
	seen.Realm, seen.Token = h.opaque.realm, named.name
	if !t.expires.IsZero() {
		seen.Expires = t.expires.Add(h.opaque.leeway)
	}
	return seen, nil
}

// errEncoding says that an answer is compressed in a way that is not read here.
var errEncoding = errors.New("the answer has a content encoding other than gzip and deflate")

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

func clientOf(id *revocation.Identity) string {
	if id == nil {
		return ""
	}
	return id.Client()
}

func sessionOf(id *revocation.Identity) string {
	if id == nil {
		return ""
	}
	return id.Session()
}
