package exampleapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// login answers POST /auth/login: an API key and its secret for a pair of tokens.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	fields, refusal := readStrings(w, r, "username", "password")
	if refusal != nil {
		writeError(w, refusal)
		return
	}
	client, known := h.clients[fields[0]]
	// An unknown key costs the same comparison as a wrong secret.
	if !sameSecret(client.Secret, fields[1]) || !known {
		writeError(w, errCredentials)
		return
	}
	h.writePair(w, client.ID)
}

// sameSecret compares in a time that depends on neither's content. Digests are
// compared, so it does not depend on the length of the right one either.
func sameSecret(want, got string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// refresh answers POST /auth/refresh: a refresh token for a new pair. The old
// refresh token stays good, since nothing here could remember that it was used.
func (h *Handler) refresh(w http.ResponseWriter, r *http.Request) {
	fields, refusal := readStrings(w, r, "refresh_token")
	if refusal != nil {
		writeError(w, refusal)
		return
	}
	client, refusal := h.issuer.verify(fields[0], refresh)
	if refusal != nil {
		writeError(w, refusal)
		return
	}
	h.writePair(w, client)
}

func (h *Handler) writePair(w http.ResponseWriter, client int64) {
	p, err := h.issuer.pair(client)
	if err != nil {
		writeError(w, errInternal)
		return
	}
	writeData(w, p)
}

// authenticated lets a request through to next with a good access token only.
func (h *Handler) authenticated(next func(w http.ResponseWriter, r *http.Request, client int64)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values("Authorization")
		if len(values) == 0 || values[0] == "" {
			writeError(w, errNoAuthorization)
			return
		}
		scheme, token, found := strings.Cut(values[0], " ")
		if len(values) > 1 || !found || !strings.EqualFold(scheme, "Bearer") {
			writeError(w, errInvalidToken)
			return
		}
		client, refusal := h.issuer.verify(strings.TrimLeft(token, " "), access)
		if refusal != nil {
			writeError(w, refusal)
			return
		}
		next(w, r, client)
	}
}
