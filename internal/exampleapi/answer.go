package exampleapi

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// apiError is a refusal in the API's format. Clients are told to switch on code.
type apiError struct {
	status  int
	Name    string `json:"name"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The refusals with a fixed text.
var (
	errNoAuthorization  = unauthorized("Authorization header required")
	errInvalidToken     = unauthorized("Invalid token")
	errTokenExpired     = unauthorized("Token expired")
	errCredentials      = unauthorized("Invalid credentials")
	errNotFound         = &apiError{http.StatusNotFound, "NotFoundError", "NOT_FOUND", "Not found"}
	errMethodNotAllowed = &apiError{http.StatusMethodNotAllowed, "MethodNotAllowedError", "METHOD_NOT_ALLOWED", "Method not allowed"}
	errTooLarge         = &apiError{http.StatusRequestEntityTooLarge, "BadRequestError", "BAD_REQUEST", "Request body too large"}
	errInternal         = &apiError{http.StatusInternalServerError, "InternalServerError", "INTERNAL_SERVER_ERROR", "Internal server error"}
)

func unauthorized(message string) *apiError {
	return &apiError{http.StatusUnauthorized, "UnauthorizedError", "UNAUTHORIZED", message}
}

func invalid(message string) *apiError {
	return &apiError{http.StatusBadRequest, "ValidationException", "VALIDATION_FAILURE", message}
}

// Error makes apiError an error; the message is meant for the client.
func (e *apiError) Error() string { return e.Message }

// success is the envelope of every answer that is not a refusal.
type success struct {
	Success bool `json:"success"`
	Data    any  `json:"data"`
}

func writeData(w http.ResponseWriter, data any) {
	write(w, http.StatusOK, success{Success: true, Data: data})
}

func writeError(w http.ResponseWriter, e *apiError) {
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 §15.5.2
	}
	write(w, e.status, struct {
		Error *apiError `json:"error"`
	}{e})
}

func write(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // the bodies are this package's own structs
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that has gone away is no concern of ours
}
