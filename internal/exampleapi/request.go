package exampleapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// maxBody bounds a request's body. A login or a refresh is a few hundred bytes;
// the rest is room for long tokens.
const maxBody = 64 << 10

// readStrings reads a JSON object from the request's body and returns the values
// of the given fields, which must all be there and be strings that are not empty.
// Names are compared exactly and other fields are ignored.
func readStrings(w http.ResponseWriter, r *http.Request, fields ...string) ([]string, *apiError) {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != "application/json" {
			return nil, invalid("Content-Type must be application/json")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, invalid("Request body could not be read")
	}

	// A map of raw values, since a struct's fields would match in any case.
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return nil, invalid("Request body must be a JSON object")
	}
	values := make([]string, len(fields))
	for i, name := range fields {
		raw, ok := object[name]
		if !ok || bytes.Equal(raw, []byte("null")) {
			return nil, invalid(name + " is required")
		}
		if err := json.Unmarshal(raw, &values[i]); err != nil {
			return nil, invalid(name + " must be a string")
		}
		if values[i] == "" {
			return nil, invalid(name + " is required")
		}
	}
	return values, nil
}
