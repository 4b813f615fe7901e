package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// The tab is closed right after the logout was sent: it is recorded nevertheless,
// within a bounded time.
func TestRecordingDoesNotEndWithTheRequest(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ctx, done := recordContext(httptest.NewRequestWithContext(gone, http.MethodPost, "/auth/logout", http.NoBody))
	defer done()
	if err := ctx.Err(); err != nil {
		t.Errorf("the context has ended: %v", err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		t.Error("the context has no end")
	}
}
