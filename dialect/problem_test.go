package dialect_test

import (
	"testing"

	"example.com/caddy-token-auth/dialect"
)

func TestProblemAnswersAsRFC9457Says(t *testing.T) {
	const invalid = `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The credential is invalid or was revoked."}`
	d := named(t, "problem")
	checkRefusals(t, d, "application/problem+json", []want{
		{dialect.MissingCredential, 401, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The request has no credential."}`},
		{dialect.InvalidCredential, 401, invalid},
		{dialect.ExpiredCredential, 401, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The token has expired."}`},
		{dialect.RevokedCredential, 401, invalid},
		{dialect.AgedCredential, 401, invalid},
		{dialect.InvalidAPIKey, 401, invalid},
		{dialect.AddressForbidden, 403, `{"type":"about:blank","title":"Forbidden","status":403,"detail":"The client may not call from this address."}`},
		{dialect.RateLimited, 429, `{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"The client has sent too many requests."}`},
		{dialect.TooManyConnections, 429, `{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"The client has sent too many requests."}`},
		{dialect.MalformedRequest, 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request body is missing or is not valid."}`},
		{dialect.InvalidRequest, 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request body is missing or is not valid."}`},
		{dialect.RequestTooLarge, 413, `{"type":"about:blank","title":"Content Too Large","status":413,"detail":"The request body is too large."}`},
		{dialect.MethodNotAllowed, 405, `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"The request method is not allowed."}`},
		{dialect.NotWebSocket, 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request requires a WebSocket."}`},
		{dialect.UpgradeRefused, 501, `{"type":"about:blank","title":"Not Implemented","status":501,"detail":"The requested protocol is not supported."}`},
		{dialect.Unavailable, 503, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The service is temporarily unavailable."}`},
	})
	checkAnswer(t, "logged out", d.LoggedOut(dialect.Request{}), 204, "", "")
}
