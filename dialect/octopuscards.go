package dialect

import "net/http"

// octopusCards is the format of the Octopus Cards API:
//
//	{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}
//
// Its clients are told to switch on error.code. Names that its documentation does
// not have (405, 413, 501, 503) follow the pattern of those that it has.
var octopusCards = fixed{
	refusals: newAnswers(map[Reason]Answer{
		Unavailable:       octopusError(http.StatusServiceUnavailable, "ServiceUnavailableError", "SERVICE_UNAVAILABLE", "Service temporarily unavailable"),
		MissingCredential: octopusUnauthorized("Authorization header required"),
		InvalidCredential: octopusUnauthorized("Invalid token"),
		ExpiredCredential: octopusUnauthorized("Token expired"),
		RevokedCredential: octopusUnauthorized("Invalid token"),
		AgedCredential:    octopusUnauthorized("Invalid token"),
		AddressForbidden:  octopusError(http.StatusForbidden, "ForbiddenError", "FORBIDDEN", "IP address not authorized"),
		RateLimited:       octopusError(http.StatusTooManyRequests, "TooManyRequestsError", "TOO_MANY_REQUESTS", "Too many requests"),
		InvalidRequest:    octopusError(http.StatusBadRequest, "ValidationException", "VALIDATION_FAILURE", "Invalid request body"),
		RequestTooLarge:   octopusError(http.StatusRequestEntityTooLarge, "PayloadTooLargeError", "PAYLOAD_TOO_LARGE", "Request body too large"),
		MethodNotAllowed:  octopusError(http.StatusMethodNotAllowed, "MethodNotAllowedError", "METHOD_NOT_ALLOWED", "Method not allowed"),
		NotWebSocket:      octopusError(http.StatusBadRequest, "BadRequestError", "BAD_REQUEST", "WebSocket connection required"),
		UpgradeRefused:    octopusError(http.StatusNotImplemented, "NotImplementedError", "NOT_IMPLEMENTED", "Protocol upgrade not supported"),
	}),
	loggedOut: Answer{
		Status:      http.StatusOK,
		ContentType: typeJSON,
		Body:        []byte(`{"success":true,"data":{"message":"Successfully logged out"}}`),
	},
}

func octopusUnauthorized(message string) Answer {
	return octopusError(http.StatusUnauthorized, "UnauthorizedError", "UNAUTHORIZED", message)
}

// octopusError is an answer with fields in the API's order.
func octopusError(status int, name, code, message string) Answer {
	type object struct {
		Name    string `json:"name"`
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	return jsonAnswer(status, struct {
		Error object `json:"error"`
	}{object{name, code, message}})
}
