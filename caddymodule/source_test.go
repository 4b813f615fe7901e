package caddymodule

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"example.com/caddy-token-auth/token"
)

func TestSourcesFindOneToken(t *testing.T) {
	all, err := newSources([]Source{
		{In: "header", Name: "authorization", Scheme: "bearer"},
		{In: "header", Name: "X-Token"},
		{In: "cookie", Name: "session"},
		{In: "query", Name: "access_token"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cookieOnly, err := newSources([]Source{{In: "cookie", Name: "session"}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		sources sources
		header  http.Header
		query   string
		want    string
		err     error
	}{
		{"nowhere", all, nil, "", "", token.ErrMissing},
		{"bearer", all, http.Header{"Authorization": {"Bearer a"}}, "", "a", nil},
		{"header", all, http.Header{"X-Token": {"a"}}, "", "a", nil},
		{"cookie", all, http.Header{"Cookie": {"x=y; session=a; z=w"}}, "", "a", nil},
		{"quoted cookie", all, http.Header{"Cookie": {`session="a"`}}, "", "a", nil},
		{"query", all, nil, "q=1&access_token=a", "a", nil},
		{"the same everywhere", all, http.Header{"Authorization": {"bearer a"}, "X-Token": {"a", "a"}, "Cookie": {"session=a", "session=a"}}, "access_token=a", "a", nil},

		{"another scheme", all, http.Header{"Authorization": {"Basic YQ=="}, "X-Token": {"a"}}, "", "", token.ErrMalformed},
		{"bearer and header", all, http.Header{"Authorization": {"Bearer a"}, "X-Token": {"b"}}, "", "", token.ErrConflict},
		{"two headers", all, http.Header{"X-Token": {"a", "b"}}, "", "", token.ErrConflict},
		{"two cookies", all, http.Header{"Cookie": {"session=a; session=b"}}, "", "", token.ErrConflict},
		{"two cookie fields", all, http.Header{"Cookie": {"session=a", "session=b"}}, "", "", token.ErrConflict},
		{"a cookie that strict parsers skip", all, http.Header{"Cookie": {"session=a; session =b"}}, "", "", token.ErrConflict},
		{"two parameters", all, nil, "access_token=a&access_token=b", "", token.ErrConflict},
		{"a parameter in capitals", all, nil, "access_token=a&ACCESS_TOKEN=b", "", token.ErrConflict},
		{"an escaped parameter", all, nil, "access_token=a&access%5Ftoken=b", "", token.ErrConflict},
		{"an unreadable query", all, nil, "access_token=a;access_token=b", "", token.ErrMalformed},
		{"query and cookie", all, http.Header{"Cookie": {"session=a"}}, "access_token=b", "", token.ErrConflict},

		{"a cookie after a comma", all, http.Header{"Cookie": {"session=a; x=y, session=b"}}, "", "", token.ErrConflict},
		{"an escaped cookie name", all, http.Header{"Cookie": {"session=a; %73ession=b"}}, "", "", token.ErrConflict},
		{"a parameter with a dot", all, nil, "access_token=a&access.token=b", "", token.ErrConflict},
		{"a parameter in brackets", all, nil, "access_token=a&access_token[]=b", "", token.ErrConflict},
		{"not a source, malformed", cookieOnly, http.Header{"Authorization": {"Bearer\tb"}, "Cookie": {"session=a"}}, "", "", token.ErrMalformed},
		{"not a source, a list", cookieOnly, http.Header{"Authorization": {"Bearer b,c"}, "Cookie": {"session=a"}}, "", "", token.ErrMalformed},

		{"cookie alone", cookieOnly, http.Header{"Cookie": {"session=a"}}, "", "a", nil},
		{"not a source", cookieOnly, http.Header{"Authorization": {"Bearer a"}}, "", "", token.ErrMissing},
		{"not a source, but another token", cookieOnly, http.Header{"Authorization": {"Bearer b"}, "Cookie": {"session=a"}}, "", "", token.ErrConflict},
		{"not a source, the same token", cookieOnly, http.Header{"Authorization": {"Bearer a"}, "Cookie": {"session=a"}}, "", "a", nil},
		{"not a source, another scheme", cookieOnly, http.Header{"Authorization": {"Basic YQ=="}, "Cookie": {"session=a"}}, "", "a", nil},
		{"not a source, twice", cookieOnly, http.Header{"Authorization": {"Bearer a", "Bearer b"}, "Cookie": {"session=a"}}, "", "", token.ErrConflict},
		{"not a source, read as one", cookieOnly, nil, "access_token=a", "", token.ErrMissing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Header: tt.header, URL: &url.URL{Path: "/", RawQuery: tt.query}}
			got, err := tt.sources.find(r)
			if got.text != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got.text, err, tt.want, tt.err)
			}
		})
	}
}

func TestQueryTokenReachesTheUpstreamAsAHeader(t *testing.T) {
	s, err := newSources([]Source{{In: "query", Name: "access_token"}})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"access_token=a":                          "",
		"x=1&access_token=a&y=%20":                "x=1&y=%20",
		"access%5Ftoken=a&x":                      "x",
		"ACCESS_TOKEN=a&access_token=a&=&x=a%26b": "=&x=a%26b",
	} {
		r := &http.Request{Header: http.Header{}, URL: &url.URL{Path: "/v1", RawQuery: query}}
		found, err := s.find(r)
		if err != nil {
			t.Fatal(err)
		}
		s.moveQuery(r, found.text)
		if r.URL.RawQuery != want || r.Header.Get("Authorization") != "Bearer a" {
			t.Errorf("%s became %s, %v", query, r.URL.RawQuery, r.Header)
		}
	}
	untouched := &http.Request{Header: http.Header{}, URL: &url.URL{Path: "/", RawQuery: "b=1&a=2"}}
	s.moveQuery(untouched, "x")
	if untouched.URL.RawQuery != "b=1&a=2" || len(untouched.Header) > 0 {
		t.Errorf("a query without a token became %s, %v", untouched.URL.RawQuery, untouched.Header)
	}
}

func TestSourcesAreChecked(t *testing.T) {
	for _, config := range [][]Source{
		{{In: "body", Name: "x"}},
		{{In: "cookie", Name: ""}},
		{{In: "cookie", Name: "a b"}},
		{{In: "header", Name: "Cookie"}},
		{{In: "header", Name: "Authorization"}},
		{{In: "header", Name: "Authorization", Scheme: "Basic"}},
		{{In: "header", Name: "X-Token", Scheme: "Bearer"}},
		{{In: "cookie", Name: "x"}, {In: "cookie", Name: "x"}},
		{{In: "header", Name: "x-a"}, {In: "header", Name: "X-A"}},
		{{In: "header", Name: "Authorization", Scheme: "Bearer"}, {In: "header", Name: "Authorization", Scheme: "Bearer"}},
	} {
		if _, err := newSources(config); err == nil {
			t.Errorf("%+v is accepted", config)
		}
	}
}
