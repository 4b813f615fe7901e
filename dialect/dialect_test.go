package dialect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

// The bodies are the API's documentation to the byte; clients compare them.
func TestOctopusCardsAnswersAsDocumented(t *testing.T) {
	d, err := dialect.Named("octopus_cards")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		reason dialect.Reason
		status int
		body   string
	}{
		{dialect.MissingCredential, 401, `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Authorization header required"}}`},
		{dialect.InvalidCredential, 401, `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}`},
		{dialect.RevokedCredential, 401, `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}`},
		{dialect.AgedCredential, 401, `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}`},
		{dialect.InvalidAPIKey, 401, `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}`},
		{dialect.ExpiredCredential, 401, `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Token expired"}}`},
		{dialect.AddressForbidden, 403, `{"error":{"name":"ForbiddenError","code":"FORBIDDEN","message":"IP address not authorized"}}`},
		{dialect.RateLimited, 429, `{"error":{"name":"TooManyRequestsError","code":"TOO_MANY_REQUESTS","message":"Too many requests"}}`},
		{dialect.TooManyConnections, 429, `{"error":{"name":"TooManyRequestsError","code":"TOO_MANY_REQUESTS","message":"Too many requests"}}`},
		{dialect.MalformedRequest, 400, `{"error":{"name":"ValidationException","code":"VALIDATION_FAILURE","message":"Invalid request body"}}`},
		{dialect.NotWebSocket, 400, `{"error":{"name":"BadRequestError","code":"BAD_REQUEST","message":"WebSocket connection required"}}`},
		{dialect.InvalidRequest, 400, `{"error":{"name":"ValidationException","code":"VALIDATION_FAILURE","message":"Invalid request body"}}`},
		{dialect.RequestTooLarge, 413, `{"error":{"name":"PayloadTooLargeError","code":"PAYLOAD_TOO_LARGE","message":"Request body too large"}}`},
		{dialect.MethodNotAllowed, 405, `{"error":{"name":"MethodNotAllowedError","code":"METHOD_NOT_ALLOWED","message":"Method not allowed"}}`},
		{dialect.UpgradeRefused, 501, `{"error":{"name":"NotImplementedError","code":"NOT_IMPLEMENTED","message":"Protocol upgrade not supported"}}`},
		{dialect.Unavailable, 503, `{"error":{"name":"ServiceUnavailableError","code":"SERVICE_UNAVAILABLE","message":"Service temporarily unavailable"}}`},
	}
	if len(tests) != len(dialect.Reasons()) {
		t.Errorf("%d reasons tested of %d", len(tests), len(dialect.Reasons()))
	}
	for _, tt := range tests {
		t.Run(tt.reason.String(), func(t *testing.T) {
			got := d.Refuse(dialect.Refusal{Reason: tt.reason})
			if got.Status != tt.status || string(got.Body) != tt.body {
				t.Errorf("got %d %s\nwant %d %s", got.Status, got.Body, tt.status, tt.body)
			}
			if got.ContentType != "application/json" {
				t.Errorf("content type %q", got.ContentType)
			}
		})
	}
	if got := d.LoggedOut(dialect.Request{}); got.Status != 200 || string(got.Body) != `{"success":true,"data":{"message":"Successfully logged out"}}` {
		t.Errorf("logged out: %d %s", got.Status, got.Body)
	}
}

// A reason that is unknown or was forgotten must never read as "log in again".
func TestUnknownReasonIsUnavailableInEveryDialect(t *testing.T) {
	for _, name := range dialect.Names() {
		d, err := dialect.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		var forgotten dialect.Reason
		for _, reason := range []dialect.Reason{forgotten, 250} {
			if got := d.Refuse(dialect.Refusal{Reason: reason}); got.Status != 503 {
				t.Errorf("%s: %s is answered with %d", name, reason, got.Status)
			}
		}
	}
}

func TestEveryDialectAnswersEveryReasonInJSON(t *testing.T) {
	for _, name := range dialect.Names() {
		d, err := dialect.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, reason := range dialect.Reasons() {
			got := d.Refuse(dialect.Refusal{Reason: reason})
			if got.Status < 400 || !json.Valid(got.Body) || !strings.Contains(got.ContentType, "json") {
				t.Errorf("%s: %s: %d %q %s", name, reason, got.Status, got.ContentType, got.Body)
			}
		}
	}
}

func TestUnknownDialectNamesTheKnownOnes(t *testing.T) {
	_, err := dialect.Named("soap")
	if err == nil || !strings.Contains(err.Error(), `"soap"`) || !strings.Contains(err.Error(), "octopus_cards") {
		t.Errorf("got %v", err)
	}
}

func ExampleDialect() {
	d, err := dialect.Named("octopus_cards")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := d.Refuse(dialect.Refusal{Reason: dialect.RevokedCredential})
	fmt.Println(answer.Status, string(answer.Body))
	// Output: 401 {"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}
}
