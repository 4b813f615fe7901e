package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/request"
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
	forms   []request.Name
	queries []request.Name
	cookies []request.Name
	// inBody are the names by which an upstream may know what json and forms are about, also
	// where it does not look into the body: data[refresh_token] and refresh_token.
	inBody []request.Name
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
			places.inBody = append(places.inBody, path[len(path)-1], request.NewName(c.Name))
		case inForm:
			places.forms = append(places.forms, request.NewName(c.Name))
			places.inBody = append(places.inBody, request.NewName(c.Name))
		case inQuery:
			places.queries = append(places.queries, request.NewName(c.Name))
		case inCookie:
			if !httpguts.ValidHeaderFieldName(c.Name) {
				return tokenPlaces{}, fmt.Errorf("%q is not the name of a cookie", c.Name)
			}
			places.cookies = append(places.cookies, request.NewName(c.Name))
		default:
			return tokenPlaces{}, fmt.Errorf("unknown place %q: want json, form, query or cookie", c.In)
		}
	}
	return places, nil
}

// formPlace is one parameter of a form.
func formPlace(name string) tokenPlaces {
	names := request.NewNames(name)
	return tokenPlaces{forms: names, inBody: names}
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
	return p.findIn(r, p.addForwardedBody)
}

// findHere is find for a request that is answered here: no upstream reads it differently, and
// browsers send JSON as plain text, which needs no preflight.
func (p *tokenPlaces) findHere(r *http.Request) (string, error) {
	return p.findIn(r, func(c *collected, r *http.Request) error {
		if len(p.inBody) == 0 {
			return nil
		}
		kind, body, err := readAnyBody(r)
		if err != nil {
			return err
		}
		return p.addBody(c, kind, body)
	})
}

// findIn is find with a function that adds what the body has.
func (p *tokenPlaces) findIn(r *http.Request, addBody func(*collected, *http.Request) error) (string, error) {
	var c collected
	if err := p.addQuery(&c, r); err != nil {
		return "", err
	}
	c.addCookies(p.cookies, r.Header)
	if err := addBody(&c, r); err != nil {
		return "", err
	}
	switch {
	case c.ambiguous():
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
		if !c.addNamed(p.queries, name, values) && request.Resemble(p.inBody, name) {
			return errTokenElsewhere
		}
	}
	return nil
}

// addForwardedBody adds what the body of a request has that is forwarded. An upstream that
// looks for a token in the body first would take it from there, whatever place is named.
func (p *tokenPlaces) addForwardedBody(c *collected, r *http.Request) error {
	kind, kindErr := bodyKind(r)
	if kindErr != nil && len(p.inBody) > 0 {
		return kindErr
	}
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	if len(p.inBody) > 0 {
		err = p.addBody(c, kind, body)
	}
	if err = errors.Join(err, kindErr); err != nil {
		return err
	}
	names := slices.Concat(p.queries, p.cookies)
	if len(names) == 0 {
		return nil
	}
	var elsewhere tokenPlaces
	if kind == inForm {
		elsewhere.forms = names
	} else {
		for _, name := range names {
			elsewhere.json = append(elsewhere.json, jsonPath{name})
		}
	}
	var other collected
	if err := elsewhere.addBody(&other, kind, body); err != nil {
		return err
	}
	c.addAlike(append(other.alike, other.raw)...)
	c.conflict = c.conflict || other.conflict
	return nil
}

// addBody adds what the body has, which must be of a kind that has one. An empty body has
// nothing, of whatever kind it says to be.
func (p *tokenPlaces) addBody(c *collected, kind string, body []byte) error {
	switch {
	case kind == inForm && len(p.forms) == 0, kind == inJSON && len(p.json) == 0:
		return errNotJSON
	case len(body) == 0:
		return nil
	case kind == inForm:
		return p.addForm(c, body)
	}
	for _, path := range p.json {
		raw, err := path.findText(body)
		if err != nil {
			return err
		}
		c.add(raw)
	}
	return nil
}

func (p *tokenPlaces) addForm(c *collected, body []byte) error {
	form, err := url.ParseQuery(string(body))
	// Some upstreams take for JSON what looks like it, whatever it says to be.
	if kind := jsontext.Value(withoutByteOrderMark(body)).Kind(); err != nil || kind == '{' || kind == '[' {
		return errNotForm
	}
	for name, values := range form {
		c.addNamed(p.forms, name, values)
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
