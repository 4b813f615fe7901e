package caddymodule

import (
	"net/url"
	"strings"
	"testing"
)

func mustParseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.ParseRequestURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Whatever an upstream could take for the refresh or logout call is treated as it;
// only the plain spelling is let through without a credential.
func TestEndpointSpellings(t *testing.T) {
	e, err := newEndpoint("/auth/refresh")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		target    string
		is, mayBe bool
	}{
		{"/auth/refresh", true, true},
		{"/auth/refresh?x=1", true, true},
		{"/auth/refresh/", false, true},
		{"//auth/refresh", false, true},
		{"/auth//refresh", false, true},
		{"/AUTH/Refresh", false, true},
		{"/auth/./refresh", false, true},
		{"/x/../auth/refresh", false, true},
		{"/auth/%72efresh", true, true}, // decodes to the same path for everyone
		{"/auth/%2e/refresh", false, true},
		{"/auth%2frefresh", false, true},
		{"/auth/%2572efresh", false, true},
		{"/auth/refresh;v=1", false, true},
		{"/auth;a/refresh", false, true},
		{`/auth%5crefresh`, false, true},
		{"/auth/refresh%00", false, true},
		{"/auth/refresh%0a", false, true},
		{"/auth/refresh%20", false, true},
		{"/auth/refresh.json", false, true},
		{"/auth/refresh%3fx", false, true},
		{"/auth/refresh%23x", false, true},
		{"/auth/refres%2568;%25zz", false, true},
		{"/auth/refres%252568", false, true},
		{"/auth/refresh.json/x", false, false},
		{"/auth/refreshed", false, false},
		{"/auth/refresh/now", false, false},
		{"/v1/auth/refresh", false, false},
		{"/", false, false},
	}
	for _, tt := range tests {
		p := parsePath(mustParseURL(t, tt.target))
		if got := e.is(p); got != tt.is {
			t.Errorf("%s: is = %v", tt.target, got)
		}
		if got := e.mayBe(p); got != tt.mayBe {
			t.Errorf("%s: mayBe = %v", tt.target, got)
		}
	}
}

func TestNoPathIsAnEndpointThatIsNotConfigured(t *testing.T) {
	var none endpoint
	for _, target := range []string{"/", "//", "/%2e", "/x"} {
		p := parsePath(mustParseURL(t, target))
		if none.is(p) || none.mayBe(p) {
			t.Errorf("%s is taken for an endpoint that does not exist", target)
		}
	}
}

func TestPublicPathsCannotBeUsedToReachOthers(t *testing.T) {
	paths, err := newPublicPaths([]string{"/health", "/static/*", "/Docs/Index.html"})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/health", "/static/", "/static/a.css", "/static/a/b", "/Docs/Index.html", "/static/%41"} {
		if !paths.include(parsePath(mustParseURL(t, target))) {
			t.Errorf("%s is not public", target)
		}
	}
	for _, target := range []string{
		"/", "/healthz", "/health/", "/HEALTH", "/health/x", "/static", "/docs/index.html",
		"/static/../v1/cards", "/static/%2e%2e/v1/cards", "/static/..%2fv1/cards", "/static/..;/v1/cards",
		"/static/;/../v1/cards", `/static/..%5cv1`, "/static//v1", "/static/%252e%252e/v1", "/static/.", "/static/x%00",
		"/static/..%20/v1", "/static/.%09./v1", "/static/..%0a/v1", "/static/..%c0%af", "/static/%c0%ae%c0%ae/v1",
		"/static/%ef%bc%8e%ef%bc%8e/v1", "/static/x%3f/v1", "/static/x%23", "/static/...",
	} {
		if paths.include(parsePath(mustParseURL(t, target))) {
			t.Errorf("%s is public", target)
		}
	}
}

func TestConfiguredPathsArePlain(t *testing.T) {
	for _, p := range []string{"", "auth", "/a//b", "/a/../b", "/a;b", "/a%2fb", "/a*", "/a?b", "/{x}", `/a\b`} {
		if _, err := newEndpoint(p); err == nil {
			t.Errorf("endpoint %q is accepted", p)
		}
		if _, err := newPublicPaths([]string{p}); err == nil {
			t.Errorf("public path %q is accepted", p)
		}
	}
	if _, err := newPublicPaths([]string{"/*/x"}); err == nil || !strings.Contains(err.Error(), "/*/x") {
		t.Errorf("a wildcard within a path: %v", err)
	}
}

func TestPlainPathCostsNoAllocation(t *testing.T) {
	u := mustParseURL(t, "/v1/cards/0f8B2c")
	if n := testing.AllocsPerRun(100, func() { parsePath(u) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
