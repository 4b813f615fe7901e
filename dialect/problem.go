package dialect

import "net/http"

// problem is the format of RFC 9457, Problem Details for HTTP APIs:
//
//	{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The token has expired."}
//
// The type is about:blank, which says that the problem is no other than that of the
// status, and the title is then the status's name (RFC 9457 §4.2.1). A success is no
// problem and has no format: a logout is answered with 204 and no body.
var problem = fixed{
	refusals: newAnswers(map[Reason]Answer{
		Unavailable:       problemDetails(http.StatusServiceUnavailable, "The service is temporarily unavailable."),
		MissingCredential: problemDetails(http.StatusUnauthorized, "The request has no credential."),
		InvalidCredential: problemDetails(http.StatusUnauthorized, "The credential is invalid or was revoked."),
		ExpiredCredential: problemDetails(http.StatusUnauthorized, "The token has expired."),
		RevokedCredential: problemDetails(http.StatusUnauthorized, "The credential is invalid or was revoked."),
		AgedCredential:    problemDetails(http.StatusUnauthorized, "The credential is invalid or was revoked."),
		AddressForbidden:  problemDetails(http.StatusForbidden, "The client may not call from this address."),
		RateLimited:       problemDetails(http.StatusTooManyRequests, "The client has sent too many requests."),
		InvalidRequest:    problemDetails(http.StatusBadRequest, "The request body is missing or is not valid."),
		RequestTooLarge:   problemDetails(http.StatusRequestEntityTooLarge, "The request body is too large."),
		MethodNotAllowed:  problemDetails(http.StatusMethodNotAllowed, "The request method is not allowed."),
		NotWebSocket:      problemDetails(http.StatusBadRequest, "The request requires a WebSocket."),
		UpgradeRefused:    problemDetails(http.StatusNotImplemented, "The requested protocol is not supported."),
	}),
	loggedOut: Answer{Status: http.StatusNoContent},
}

func problemDetails(status int, detail string) Answer {
	answer := jsonAnswer(status, struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", statusTitle(status), status, detail})
	answer.ContentType = "application/problem+json"
	return answer
}

// statusTitle is the name that the status has in RFC 9110, which net/http has in an
// older version for one of them.
func statusTitle(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Content Too Large"
	}
	return http.StatusText(status)
}
