package dialect_test

import (
	"encoding/json"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

// want is an answer to the byte.
type want struct {
	reason dialect.Reason
	status int
	body   string
}

func named(t *testing.T, name string) dialect.Dialect {
	t.Helper()
	d, err := dialect.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// checkRefusals compares the answers to all reasons.
func checkRefusals(t *testing.T, d dialect.Dialect, contentType string, all []want) {
	t.Helper()
	seen := make(map[dialect.Reason]bool)
	for _, w := range all {
		seen[w.reason] = true
		checkAnswer(t, w.reason.String(), d.Refuse(dialect.Refusal{Reason: w.reason}), w.status, contentType, w.body)
	}
	for _, reason := range dialect.Reasons() {
		if !seen[reason] {
			t.Errorf("%s is not tested", reason)
		}
	}
}

func checkAnswer(t *testing.T, what string, got dialect.Answer, status int, contentType, body string) {
	t.Helper()
	if got.Status != status || string(got.Body) != body {
		t.Errorf("%s:\n got %d %s\nwant %d %s", what, got.Status, got.Body, status, body)
	}
	if got.ContentType != contentType {
		t.Errorf("%s: content type %q, want %q", what, got.ContentType, contentType)
	}
}

// withID describes a request with this id.
func withID(raw string) dialect.Request {
	return dialect.Request{ID: func() json.RawMessage { return json.RawMessage(raw) }}
}

// withValues describes a request with these placeholders.
func withValues(values map[string]string) dialect.Request {
	return dialect.Request{Value: func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}}
}
