package caddymodule

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"

	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/revocation"
)

// scopeRules are the scopes that a logout request may ask for.
type scopeRules []scopeRule

type scopeRule struct {
	ScopeRule
	path  jsonPath
	scope revocation.Scope
}

func newScopeRules(config []ScopeRule) (scopeRules, error) {
	rules := make(scopeRules, 0, len(config))
	for _, c := range config {
		rule := scopeRule{ScopeRule: c}
		var err error
		if rule.scope, err = revocation.ParseScope(c.Scope); err != nil {
			return nil, err
		}
		switch c.In {
		case inQuery:
		case inHeader:
			if !httpguts.ValidHeaderFieldName(c.Name) {
				return nil, fmt.Errorf("%q is not a header name", c.Name)
			}
			rule.Name = textproto.CanonicalMIMEHeaderKey(c.Name)
		case inJSON:
			if rule.path, err = parseJSONPath(c.Name); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unknown place %q: want query, json or header", c.In)
		}
		if c.Name == "" || c.Value == "" {
			return nil, fmt.Errorf("scope_when %s: want <name>=<value>", c.In)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// scope returns what a request asks for, or otherwise. A body that cannot be read asks for
// nothing, since a logout takes any body.
func (rules scopeRules) scope(r *http.Request, otherwise revocation.Scope) (revocation.Scope, error) {
	var query url.Values
	var body []byte
	for _, rule := range rules {
		var values []string
		switch rule.In {
		case inQuery:
			if query == nil {
				query = r.URL.Query()
			}
			values = query[rule.Name]
		case inHeader:
			values = r.Header[rule.Name]
		case inJSON:
			if body == nil {
				var err error
				if body, err = readBody(r); err != nil {
					return 0, err
				}
				body = withoutByteOrderMark(body)
			}
			if value, err := rule.path.findScalar(body); err == nil {
				values = []string{value}
			}
		}
		if slices.Contains(values, rule.Value) {
			return rule.scope, nil
		}
	}
	return otherwise, nil
}
