package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/token"
)

// TokenPlace is a place where a request may have a refresh token.
type TokenPlace struct {
	// In is "json" (a path within the body), "form" (a parameter of the body), "query"
	// or "cookie".
	In string `json:"in"`
	// Name of the path, parameter or cookie.
	Name string `json:"name"`
}

const (
	inJSON   = "json"
	inForm   = "form"
	inQuery  = "query"
	inCookie = "cookie"
	inHeader = "header"
)

// tokenPlaces find the refresh token of a request.
type tokenPlaces struct {
	json    []jsonPath
	forms   []string
	queries []string
	cookies []string
}

func newTokenPlaces(config []TokenPlace) (tokenPlaces, error) {
	var places tokenPlaces
	for i, c := range config {
		if slices.Contains(config[:i], c) {
			return tokenPlaces{}, fmt.Errorf("%s %s is named twice", c.In, c.Name)
		}
		if c.Name == "" {
			return tokenPlaces{}, fmt.Errorf("%s: no name", c.In)
		}
		switch c.In {
		case inJSON:
			path, err := parseJSONPath(c.Name)
			if err != nil {
				return tokenPlaces{}, err
			}
			places.json = append(places.json, path)
		case inForm:
			places.forms = append(places.forms, c.Name)
		case inQuery:
			places.queries = append(places.queries, c.Name)
		case inCookie:
			if !httpguts.ValidHeaderFieldName(c.Name) {
				return tokenPlaces{}, fmt.Errorf("%q is not the name of a cookie", c.Name)
			}
			places.cookies = append(places.cookies, c.Name)
		default:
			return tokenPlaces{}, fmt.Errorf("unknown place %q: want json, form, query or cookie", c.In)
		}
	}
	return places, nil
}

func (p *tokenPlaces) empty() bool {
	return len(p.json)+len(p.forms)+len(p.queries)+len(p.cookies) == 0
}

var (
	errNoRefreshToken = errors.New("the request has no refresh token")
	errTokenElsewhere = errors.New("the query may have a parameter of the refresh token's name")
)

// find returns the one refresh token of a request: errNoRefreshToken if there is none,
// token.ErrConflict for two different ones, errBodyTooLarge, or another error for a
// request that the upstream could read differently.
func (p *tokenPlaces) find(r *http.Request) (string, error) {
	var c collected
	if err := p.addQuery(&c, r); err != nil {
		return "", err
	}
	for _, field := range r.Header["Cookie"] {
		addCookies(&c, p.cookies, field)
	}
	if len(p.json)+len(p.forms) > 0 {
		if err := p.addBody(&c, r); err != nil {
			return "", err
		}
	}
	switch {
	case c.conflict:
		return "", token.ErrConflict
	case c.raw == "":
		return "", errNoRefreshToken
	}
	return c.raw, nil
}

// addQuery adds what the query has. An upstream that reads it where we do not would take
// its token from there.
func (p *tokenPlaces) addQuery(c *collected, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errTokenElsewhere
	}
	for name, values := range query {
		switch {
		case hasFoldedName(p.queries, name):
			c.addAll(values)
		case p.bodyHas(name):
			return errTokenElsewhere
		}
	}
	return nil
}

// bodyHas reports whether a member or parameter of the body with this name may be the
// refresh token.
func (p *tokenPlaces) bodyHas(name string) bool {
	return hasFoldedName(p.forms, name) || slices.ContainsFunc(p.json, func(path jsonPath) bool {
		return foldName(path[len(path)-1]) == foldName(name)
	})
}

// addBody adds what the body has, which must be of a kind that has one.
func (p *tokenPlaces) addBody(c *collected, r *http.Request) error {
	kind, err := bodyKind(r)
	switch {
	case err != nil:
		return err
	case kind == inForm && len(p.forms) == 0, kind == inJSON && len(p.json) == 0:
		return errNotJSON
	}
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	if kind == inForm {
		return p.addForm(c, body)
	}
	for _, path := range p.json {
		raw, err := path.find(body)
		if err != nil {
			return err
		}
		c.add(raw)
	}
	return nil
}

func (p *tokenPlaces) addForm(c *collected, body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return errNotForm
	}
	for name, values := range form {
		if hasFoldedName(p.forms, name) {
			c.addAll(values)
		}
	}
	return nil
}

// maxGrace bounds how long an exchanged token may go on working.
const maxGrace = 5 * time.Minute

func boundedGrace(d caddy.Duration) (time.Duration, error) {
	if d < 0 || time.Duration(d) > maxGrace {
		return 0, fmt.Errorf("grace %s: want 0 to %s", time.Duration(d), maxGrace)
	}
	return time.Duration(d), nil
}
