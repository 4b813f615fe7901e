package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/request"
	"example.com/caddy-token-auth/token"
)

// Source is a place where a request may carry its token.
type Source struct {
	// In is "header", "cookie" or "query".
	In string `json:"in"`
	// Name of the header field, cookie or query parameter.
	Name string `json:"name"`
	// Scheme in front of the token in a header field. The field Authorization has
	// "Bearer", in any case, and nothing else.
	Scheme string `json:"scheme,omitempty"`
}

// credential is what a request carries.
type credential struct {
	kind credentialKind
	// text is the token or the API key.
	text string
	// session is what the request names as the session of an API key, or "".
	session string
	// held says that the token is not presented for access, but to be revoked, or for the
	// API to exchange: it need not be fit for more.
	held bool
}

type credentialKind uint8

const (
	kindToken credentialKind = iota
	kindAPIKey
	kindScheme // of an authentication scheme that only the API understands
)

// sources finds the credential of a request. Its zero value finds none.
type sources struct {
	headers []request.Name // canonical, without Authorization
	cookies []request.Name
	queries []request.Name
	// bearer says that Authorization is one of the places. It is looked at in any
	// case: an upstream that reads it must not see another token than we do.
	bearer bool
	// schemes are those of Authorization that pass, in lower case.
	schemes []string
	apiKey  apiKeySource
	// plain says that Authorization: Bearer is all there is.
	plain bool
}

// newSources checks the configured sources. None means Authorization: Bearer.
func newSources(config []Source) (sources, error) {
	if len(config) == 0 {
		return sources{bearer: true, plain: true}, nil
	}
	var s sources
	for _, c := range config {
		if c.Name == "" || !httpguts.ValidHeaderFieldName(c.Name) {
			return sources{}, fmt.Errorf("%s %q: want a name of letters, digits, hyphens and underscores", c.In, c.Name)
		}
		name := textproto.CanonicalMIMEHeaderKey(c.Name)
		isBearer := c.In == "header" && name == "Authorization"
		switch {
		case c.Scheme != "" && !isBearer, isBearer && !strings.EqualFold(c.Scheme, "Bearer"):
			return sources{}, errors.New("a scheme belongs to header Authorization, and it is Bearer")
		case isBearer:
			if s.bearer {
				return sources{}, errors.New("header Authorization is named twice")
			}
			s.bearer = true
		case c.In == "header" && reservedHeaders[name]:
			return sources{}, fmt.Errorf("header %s cannot carry a token", name)
		case c.In == "header":
			s.headers = append(s.headers, request.NewName(name))
		case c.In == "cookie":
			s.cookies = append(s.cookies, request.NewName(c.Name))
		case c.In == "query":
			s.queries = append(s.queries, request.NewName(c.Name))
		default:
			return sources{}, fmt.Errorf("unknown source %q: want header, cookie or query", c.In)
		}
	}
	for _, names := range [][]request.Name{s.headers, s.cookies, s.queries} {
		for i, name := range names {
			if request.Resemble(names[:i], name.String()) {
				return sources{}, fmt.Errorf("%s is named twice, or in two spellings that an upstream may take for one", name)
			}
		}
	}
	s.plain = s.bearer && len(s.headers)+len(s.cookies)+len(s.queries) == 0
	return s, nil
}

// pass adds authentication schemes that only the API understands.
func (s *sources) pass(schemes []string) error {
	for _, scheme := range schemes {
		scheme = strings.ToLower(scheme)
		switch {
		case !httpguts.ValidHeaderFieldName(scheme): // RFC 9110 §11.1: a token as well
			return fmt.Errorf("%q is not the name of a scheme", scheme)
		case strings.HasPrefix(scheme, "bearer"):
			return errors.New("bearer tokens are judged, and do not pass by their scheme")
		case slices.Contains(s.schemes, scheme):
			return fmt.Errorf("%s is named twice", scheme)
		}
		s.schemes = append(s.schemes, scheme)
		s.plain = false
	}
	return nil
}

// find returns the one credential of a request. Several places, or one place several
// times, may carry the same token; two different ones give token.ErrConflict, and so
// does a credential of one kind beside one of another.
func (s *sources) find(r *http.Request) (credential, error) {
	if s.plain {
		raw, err := token.BearerFromHeader(r.Header)
		return credential{text: raw}, err
	}
	byScheme, err := s.hasScheme(r.Header)
	if err != nil {
		return credential{}, err
	}
	found, err := s.findToken(r, byScheme)
	if err != nil && !errors.Is(err, token.ErrMissing) {
		return credential{}, err
	}
	key, keyErr := s.apiKey.find(r)
	switch {
	case keyErr != nil:
		return credential{}, keyErr
	case byScheme && (found != "" || key.text != ""), found != "" && key.text != "":
		return credential{}, token.ErrConflict
	case byScheme:
		return credential{kind: kindScheme}, nil
	case key.text != "":
		return key, nil
	}
	return credential{text: found}, err
}

// hasScheme reports whether Authorization has a scheme that passes. Beside one of
// another scheme it is token.ErrConflict.
func (s *sources) hasScheme(h http.Header) (bool, error) {
	if len(s.schemes) == 0 {
		return false, nil
	}
	values := h["Authorization"]
	matching := 0
	for _, value := range values {
		scheme, rest, _ := strings.Cut(value, " ")
		if slices.Contains(s.schemes, strings.ToLower(scheme)) && !strings.Contains(strings.ToLower(rest), "bearer") {
			matching++
		}
	}
	if matching > 0 && matching < len(values) || matching > 1 && len(slices.Compact(slices.Clone(values))) > 1 {
		return false, token.ErrConflict
	}
	return matching > 0, nil
}

// findToken returns the one token of a request. With byScheme, Authorization has none.
func (s *sources) findToken(r *http.Request, byScheme bool) (string, error) {
	var c collected
	raw := ""
	if !byScheme {
		var err error
		raw, err = token.BearerFromHeader(r.Header)
		switch {
		case err == nil:
			c.add(raw)
		case s.bearer && !errors.Is(err, token.ErrMissing), errors.Is(err, token.ErrConflict), resemblesBearer(r.Header):
			return "", err
		}
	}
	c.addHeaders(s.headers, r.Header)
	c.addCookies(s.cookies, r.Header)
	if err := s.addQueries(&c, r.URL); err != nil {
		return "", err
	}
	switch {
	case c.ambiguous():
		return "", token.ErrConflict
	case c.raw == "" || !s.bearer && !c.elsewhere(raw):
		return "", token.ErrMissing
	}
	return c.raw, nil
}

// resemblesBearer reports whether Authorization has what a lenient upstream may read as a
// bearer token.
func resemblesBearer(h http.Header) bool {
	return slices.ContainsFunc(h["Authorization"], func(value string) bool {
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), "bearer")
	})
}

// remove takes whatever may be a credential off a request that needs none.
func (s *sources) remove(r *http.Request) {
	delete(r.Header, "Authorization")
	delete(r.Header, "Cookie")
	removeHeaders(r.Header, s.headers)
	s.apiKey.remove(r)
	if removeParameters(r.URL, s.queries) {
		r.RequestURI = r.URL.RequestURI()
	}
}

// addQueries adds the values of our query parameters.
func (s *sources) addQueries(c *collected, u *url.URL) error {
	if len(s.queries) == 0 || u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		// What cannot be read cannot be removed either.
		return fmt.Errorf("%w: unreadable query", token.ErrMalformed)
	}
	for name, values := range query {
		c.addNamed(s.queries, name, values)
	}
	return nil
}

// moveQuery takes tokens out of the query, which the logs of everything behind would
// keep, and gives the upstream the same token as Authorization: Bearer.
func (s *sources) moveQuery(r *http.Request, raw string) {
	if raw == "" || !removeParameters(r.URL, s.queries) {
		return
	}
	r.RequestURI = r.URL.RequestURI()
	r.Header["Authorization"] = []string{"Bearer " + raw}
}
