package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFindReadsOneStringInOneWay(t *testing.T) {
	tests := []struct {
		name, path, document, want string
		wantErr                    bool
	}{
		{"a member", "refresh_token", `{"refresh_token":"abc"}`, "abc", false},
		{"nested", "data.client_id", `{"success":true,"data":{"client_id":42}}`, "42", false},
		{"escaped name and value", "refresh_token", `{"refresh\u005ftoken":"a\u0062c"}`, "abc", false},
		{"absent", "refresh_token", `{"other":"abc"}`, "", false},
		{"null", "refresh_token", `{"refresh_token":null}`, "", false},
		{"an object where a string is wanted", "refresh_token", `{"refresh_token":{"x":"y"}}`, "", false},
		{"a string where an object is wanted", "data.x", `{"data":"x"}`, "", false},
		{"no integer", "data.x", `{"data":{"x":1.5}}`, "", false},
		{"an array", "x", `["x"]`, "", false},
		{"white space around", "x", " \n{\"x\":\"y\"}\n ", "y", false},

		{"twice", "x", `{"x":"a","x":"b"}`, "", true},
		{"twice, once escaped", "x", `{"x":"a","\u0078":"b"}`, "", true},
		{"twice elsewhere", "x", `{"x":"a","y":1,"y":2}`, "", true},
		{"in another case besides", "x", `{"x":"a","X":"b"}`, "", true},
		{"in another case alone", "x", `{"X":"b"}`, "", true},
		{"a parent in another case", "data.x", `{"data":{"x":"a"},"Data":{"x":"b"}}`, "", true},
		{"two documents", "x", `{"x":"a"}{"x":"b"}`, "", true},
		{"garbage behind", "x", `{"x":"a"}!`, "", true},
		{"cut short", "x", `{"x":"a"`, "", true},
		{"a comment", "x", `{/**/"x":"a"}`, "", true},
		{"a trailing comma", "x", `{"x":"a",}`, "", true},
		{"single quotes", "x", `{'x':'a'}`, "", true},
		{"a byte order mark", "x", "\ufeff{\"x\":\"a\"}", "", true},
		{"invalid UTF-8", "x", "{\"x\":\"a\xff\"}", "", true},
		{"a form", "x", `x=a`, "", true},
		{"nothing", "x", ``, "", true},
		{"nested beyond measure", "x", strings.Repeat(`{"x":`, 20000) + "1" + strings.Repeat("}", 20000), "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, err := parseJSONPath(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := path.find([]byte(tt.document))
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("got %q, %v", got, err)
			}
			// Errors are logged, and a document may have tokens anywhere.
			if err != nil && !errors.Is(err, errNotStrictJSON) && !errors.Is(err, errAmbiguous) {
				t.Errorf("the error may quote the document: %v", err)
			}
		})
	}
}

func TestReadBodyRefusesWhatAnUpstreamCouldReadDifferently(t *testing.T) {
	const body = `{"refresh_token":"abc"}`
	tests := []struct {
		name   string
		header http.Header
		ok     bool
	}{
		{"JSON", http.Header{"Content-Type": {"application/json; charset=utf-8"}}, true},
		{"a JSON format", http.Header{"Content-Type": {"application/vnd.api+json"}}, true},
		{"no type", http.Header{}, true},
		{"a form", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, false},
		{"a multipart form", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, false},
		{"two types", http.Header{"Content-Type": {"application/json", "application/x-www-form-urlencoded"}}, false},
		{"an empty type and another", http.Header{"Content-Type": {"", "application/x-www-form-urlencoded"}}, false},
		{"a broken type", http.Header{"Content-Type": {"application/json; ="}}, false},
		{"compressed", http.Header{"Content-Encoding": {"gzip"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/refresh", strings.NewReader(body))
			r.Header = tt.header
			got, err := readJSON(r)
			if (err == nil) != tt.ok {
				t.Fatalf("got %v", err)
			}
			if !tt.ok {
				return
			}
			forwarded, err := io.ReadAll(r.Body)
			if err != nil || string(forwarded) != body || string(got) != body || r.ContentLength != int64(len(body)) {
				t.Errorf("read %q, forwarded %q (%d), %v", got, forwarded, r.ContentLength, err)
			}
		})
	}
}

func TestReadBodyIsBounded(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat("x", maxRequestBody+1)))
	if _, err := readBody(r); !errors.Is(err, errBodyTooLarge) {
		t.Errorf("got %v", err)
	}
}
