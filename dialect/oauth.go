package dialect

import "net/http"

// oauth is the format of OAuth 2.0: the errors of RFC 6750 §3.1, with the names of
// RFC 6749 §4.1.2.1 where those have none, as JSON objects like those of RFC 6749 §5.2:
//
//	{"error":"invalid_token","error_description":"The access token expired"}
//
// Choices that the RFCs leave open:
//   - A request without a credential gets an empty object: RFC 6750 §3.1 wants no
//     error information in the answer to a client that did not try.
//   - A forbidden address is access_denied, not insufficient_scope, which would
//     send the client for a token that cannot help it.
//   - Too many requests is temporarily_unavailable, which covers "temporary
//     overloading"; the status, 429, tells it apart.
//   - A refresh token that is no good is invalid_grant with 400 (RFC 6749 §5.2),
//     by which OAuth clients know that the user must log in again.
//   - A logout is answered as a revocation is (RFC 7009 §2.2): 200.
type oauth struct{}

var oauthRefusals = newAnswers(map[Reason]Answer{
	Unavailable:       oauthError(http.StatusServiceUnavailable, "temporarily_unavailable", "The service is temporarily unavailable"),
	MissingCredential: jsonAnswer(http.StatusUnauthorized, struct{}{}),
	InvalidCredential: oauthInvalidToken,
	ExpiredCredential: oauthError(http.StatusUnauthorized, "invalid_token", "The access token expired"),
	RevokedCredential: oauthInvalidToken,
	AgedCredential:    oauthInvalidToken,
	AddressForbidden:  oauthError(http.StatusForbidden, "access_denied", "The client may not call from this address"),
	RateLimited:       oauthError(http.StatusTooManyRequests, "temporarily_unavailable", "Too many requests"),
	InvalidRequest:    oauthInvalidRequest(http.StatusBadRequest, "The request is malformed or lacks a parameter"),
	RequestTooLarge:   oauthInvalidRequest(http.StatusRequestEntityTooLarge, "The request body is too large"),
	MethodNotAllowed:  oauthInvalidRequest(http.StatusMethodNotAllowed, "The request method is not allowed"),
	NotWebSocket:      oauthInvalidRequest(http.StatusBadRequest, "The request requires a WebSocket"),
	UpgradeRefused:    oauthInvalidRequest(http.StatusNotImplemented, "The requested protocol is not supported"),
})

var (
	oauthInvalidToken = oauthError(http.StatusUnauthorized, "invalid_token", "The access token is invalid or was revoked")
	oauthInvalidGrant = oauthError(http.StatusBadRequest, "invalid_grant", "The refresh token is invalid, expired or was revoked")
	oauthLoggedOut    = jsonAnswer(http.StatusOK, struct{}{})
)

func oauthInvalidRequest(status int, description string) Answer {
	return oauthError(status, "invalid_request", description)
}

func oauthError(status int, code, description string) Answer {
	return jsonAnswer(status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}

func (oauth) Refuse(refusal Refusal) Answer {
	if refusal.Grant {
		switch refusal.Reason {
		case InvalidCredential, ExpiredCredential, RevokedCredential, AgedCredential:
			return oauthInvalidGrant
		case MissingCredential:
			return oauthRefusals.to(InvalidRequest)
		default:
		}
	}
	return oauthRefusals.to(refusal.Reason)
}

func (oauth) LoggedOut(Request) Answer { return oauthLoggedOut }
