package dialect_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

const invalidToken = `{"error":"invalid_token","error_description":"The access token is invalid or was revoked"}`

func TestOAuthAnswersAsInTheRFCs(t *testing.T) {
	d := named(t, "oauth")
	checkRefusals(t, d, "application/json", []want{
		{dialect.MissingCredential, 401, `{}`},
		{dialect.InvalidCredential, 401, invalidToken},
		{dialect.ExpiredCredential, 401, `{"error":"invalid_token","error_description":"The access token expired"}`},
		{dialect.RevokedCredential, 401, invalidToken},
		{dialect.AgedCredential, 401, invalidToken},
		{dialect.InvalidAPIKey, 401, invalidToken},
		{dialect.AddressForbidden, 403, `{"error":"access_denied","error_description":"The client may not call from this address"}`},
		{dialect.RateLimited, 429, `{"error":"temporarily_unavailable","error_description":"Too many requests"}`},
		{dialect.TooManyConnections, 429, `{"error":"temporarily_unavailable","error_description":"Too many requests"}`},
		{dialect.MalformedRequest, 400, `{"error":"invalid_request","error_description":"The request is malformed or lacks a parameter"}`},
		{dialect.InvalidRequest, 400, `{"error":"invalid_request","error_description":"The request is malformed or lacks a parameter"}`},
		{dialect.RequestTooLarge, 413, `{"error":"invalid_request","error_description":"The request body is too large"}`},
		{dialect.MethodNotAllowed, 405, `{"error":"invalid_request","error_description":"The request method is not allowed"}`},
		{dialect.NotWebSocket, 400, `{"error":"invalid_request","error_description":"The request requires a WebSocket"}`},
		{dialect.UpgradeRefused, 501, `{"error":"invalid_request","error_description":"The requested protocol is not supported"}`},
		{dialect.Unavailable, 503, `{"error":"temporarily_unavailable","error_description":"The service is temporarily unavailable"}`},
	})
	checkAnswer(t, "logged out", d.LoggedOut(dialect.Request{}), 200, "application/json", `{}`)
}

// OAuth clients know by invalid_grant that the user has to log in again; by
// invalid_token they would try the refresh token that was just refused.
func TestOAuthRefusesAGrantAsRFC6749Says(t *testing.T) {
	const (
		invalidGrant   = `{"error":"invalid_grant","error_description":"The refresh token is invalid, expired or was revoked"}`
		invalidRequest = `{"error":"invalid_request","error_description":"The request is malformed or lacks a parameter"}`
		unavailable    = `{"error":"temporarily_unavailable","error_description":"The service is temporarily unavailable"}`
	)
	d := named(t, "oauth")
	for _, tt := range []want{
		{dialect.InvalidCredential, 400, invalidGrant},
		{dialect.ExpiredCredential, 400, invalidGrant},
		{dialect.RevokedCredential, 400, invalidGrant},
		{dialect.AgedCredential, 400, invalidGrant},
		{dialect.MissingCredential, 400, invalidRequest},
		{dialect.InvalidRequest, 400, invalidRequest},
		{dialect.AddressForbidden, 403, `{"error":"access_denied","error_description":"The client may not call from this address"}`},
		{dialect.Unavailable, 503, unavailable},
		{250, 503, unavailable},
	} {
		got := d.Refuse(dialect.Refusal{Reason: tt.reason, Grant: true})
		checkAnswer(t, tt.reason.String(), got, tt.status, "application/json", tt.body)
	}
}

// RFC 6749 §5.2 leaves out quotation marks, backslashes and all but ASCII.
func TestOAuthDescriptionsHaveTheCharactersOfTheRFC(t *testing.T) {
	allowed := regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)
	for _, reason := range dialect.Reasons() {
		var body map[string]string
		if err := json.Unmarshal(named(t, "oauth").Refuse(dialect.Refusal{Reason: reason}).Body, &body); err != nil {
			t.Fatal(reason, err)
		}
		for name, value := range body {
			if !allowed.MatchString(value) {
				t.Errorf("%s: %s %q", reason, name, value)
			}
		}
	}
}
