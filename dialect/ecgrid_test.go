package dialect_test

import (
	"testing"

	"example.com/caddy-token-auth/dialect"
)

func TestECGridAnswersAsDocumented(t *testing.T) {
	const (
		invalidSession = `{"success":false,"errorCode":"InvalidSession","message":"The session token is invalid or has expired.","data":null}`
		invalidAPIKey  = `{"success":false,"errorCode":"InvalidAPIKey","message":"The provided API key is not valid or has been revoked.","data":null}`
	)
	d := named(t, "ecgrid")
	checkRefusals(t, d, "application/json", []want{
		{dialect.MissingCredential, 401, invalidSession},
		{dialect.InvalidCredential, 401, invalidSession},
		{dialect.ExpiredCredential, 401, invalidSession},
		{dialect.RevokedCredential, 401, invalidSession},
		{dialect.AgedCredential, 401, invalidSession},
		{dialect.InvalidAPIKey, 401, invalidAPIKey},
		{dialect.AddressForbidden, 403, `{"success":false,"errorCode":"AccessDenied","message":"Access from this IP address is not allowed.","data":null}`},
		{dialect.RateLimited, 429, `{"success":false,"errorCode":"RateLimitExceeded","message":"The request rate limit has been exceeded.","data":null}`},
		{dialect.TooManyConnections, 429, `{"success":false,"errorCode":"RateLimitExceeded","message":"The request rate limit has been exceeded.","data":null}`},
		{dialect.MalformedRequest, 400, `{"success":false,"errorCode":"InvalidParameter","message":"The request body is missing or is not valid.","data":null}`},
		{dialect.InvalidRequest, 400, `{"success":false,"errorCode":"InvalidParameter","message":"The request body is missing or is not valid.","data":null}`},
		{dialect.RequestTooLarge, 413, `{"success":false,"errorCode":"InvalidParameter","message":"The request body is too large.","data":null}`},
		{dialect.MethodNotAllowed, 405, `{"success":false,"errorCode":"MethodNotAllowed","message":"The request method is not allowed.","data":null}`},
		{dialect.NotWebSocket, 400, `{"success":false,"errorCode":"InvalidParameter","message":"The request requires a WebSocket connection.","data":null}`},
		{dialect.UpgradeRefused, 501, `{"success":false,"errorCode":"NotImplemented","message":"The requested protocol is not supported.","data":null}`},
		{dialect.Unavailable, 503, `{"success":false,"errorCode":"ServiceUnavailable","message":"The service is temporarily unavailable.","data":null}`},
	})
	checkAnswer(t, "logged out", d.LoggedOut(dialect.Request{}), 200, "application/json",
		`{"success":true,"data":null,"errorCode":"","message":"Session terminated."}`)
}
