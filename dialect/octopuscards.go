package dialect

import (
	"encoding/json"
	"net/http"
)

// octopusCards is the format of the Octopus Cards API:
//
//	{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}
//
// Its clients are told to switch on error.code. Names that its documentation does
// not have (405, 413, 501, 503) follow the pattern of those that it has.
type octopusCards struct{}

// octopusError is the object within "error"; the order of fields is the API's.
type octopusError struct {
	Name    string `json:"name"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

var octopusRefusals = [reasonCount]Answer{
	Unavailable:       octopusAnswer(http.StatusServiceUnavailable, "ServiceUnavailableError", "SERVICE_UNAVAILABLE", "Service temporarily unavailable"),
	MissingCredential: octopusUnauthorized("Authorization header required"),
	InvalidCredential: octopusUnauthorized("Invalid token"),
	ExpiredCredential: octopusUnauthorized("Token expired"),
	RevokedCredential: octopusUnauthorized("Invalid token"),
	AgedCredential:    octopusUnauthorized("Invalid token"),
	AddressForbidden:  octopusAnswer(http.StatusForbidden, "ForbiddenError", "FORBIDDEN", "IP address not authorized"),
	InvalidRequest:    octopusAnswer(http.StatusBadRequest, "ValidationException", "VALIDATION_FAILURE", "Invalid request body"),
	RequestTooLarge:   octopusAnswer(http.StatusRequestEntityTooLarge, "PayloadTooLargeError", "PAYLOAD_TOO_LARGE", "Request body too large"),
	MethodNotAllowed:  octopusAnswer(http.StatusMethodNotAllowed, "MethodNotAllowedError", "METHOD_NOT_ALLOWED", "Method not allowed"),
	UpgradeRefused:    octopusAnswer(http.StatusNotImplemented, "NotImplementedError", "NOT_IMPLEMENTED", "Protocol upgrade not supported"),
}

var octopusLoggedOut = Answer{
	Status:      http.StatusOK,
	ContentType: "application/json",
	Body:        []byte(`{"success":true,"data":{"message":"Successfully logged out"}}`),
}

func octopusUnauthorized(message string) Answer {
	return octopusAnswer(http.StatusUnauthorized, "UnauthorizedError", "UNAUTHORIZED", message)
}

func octopusAnswer(status int, name, code, message string) Answer {
	body, err := json.Marshal(struct {
		Error octopusError `json:"error"`
	}{octopusError{name, code, message}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return Answer{Status: status, ContentType: "application/json", Body: body}
}

func (octopusCards) Refuse(reason Reason) Answer {
	if reason >= reasonCount {
		reason = Unavailable
	}
	return octopusRefusals[reason]
}

func (octopusCards) LoggedOut() Answer { return octopusLoggedOut }
