package dialect

import "net/http"

// ecgrid is the format of the ECGrid API, version 2:
//
//	{"success":false,"errorCode":"InvalidSession","message":"The session token is invalid or has expired.","data":null}
//
// A success has the same members in another order. The documentation spells out the
// messages of InvalidSession and InvalidAPIKey; the others are in their style. Where
// it has no error code for a status (405, 501, 503), the code is the status's name.
var ecgrid = fixed{
	refusals: newAnswers(map[Reason]Answer{
		Unavailable:       ecgridError(http.StatusServiceUnavailable, "ServiceUnavailable", "The service is temporarily unavailable."),
		MissingCredential: ecgridInvalidSession,
		InvalidCredential: ecgridInvalidSession,
		ExpiredCredential: ecgridInvalidSession,
		RevokedCredential: ecgridInvalidSession,
		AgedCredential:    ecgridInvalidSession,
		InvalidAPIKey:     ecgridError(http.StatusUnauthorized, "InvalidAPIKey", "The provided API key is not valid or has been revoked."),
		AddressForbidden:  ecgridError(http.StatusForbidden, "AccessDenied", "Access from this IP address is not allowed."),
		RateLimited:       ecgridError(http.StatusTooManyRequests, "RateLimitExceeded", "The request rate limit has been exceeded."),
		InvalidRequest:    ecgridError(http.StatusBadRequest, "InvalidParameter", "The request body is missing or is not valid."),
		RequestTooLarge:   ecgridError(http.StatusRequestEntityTooLarge, "InvalidParameter", "The request body is too large."),
		MethodNotAllowed:  ecgridError(http.StatusMethodNotAllowed, "MethodNotAllowed", "The request method is not allowed."),
		NotWebSocket:      ecgridError(http.StatusBadRequest, "InvalidParameter", "The request requires a WebSocket connection."),
		UpgradeRefused:    ecgridError(http.StatusNotImplemented, "NotImplemented", "The requested protocol is not supported."),
	}),
	loggedOut: Answer{
		Status:      http.StatusOK,
		ContentType: typeJSON,
		Body:        []byte(`{"success":true,"data":null,"errorCode":"","message":"Session terminated."}`),
	},
}

var ecgridInvalidSession = ecgridError(http.StatusUnauthorized, "InvalidSession", "The session token is invalid or has expired.")

// ecgridError is an answer with members in the order that the API has for errors.
func ecgridError(status int, code, message string) Answer {
	return jsonAnswer(status, struct {
		Success   bool      `json:"success"`
		ErrorCode string    `json:"errorCode"`
		Message   string    `json:"message"`
		Data      *struct{} `json:"data"`
	}{ErrorCode: code, Message: message})
}
