package introspect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answers returns a handler that answers with a status and a JSON document.
func answers(code int, document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(code)
		fmt.Fprint(w, document)
	}
}

// refusal is an error of OAuth 2.0 (RFC 6749 §5.2).
func refusal(code string) string {
	document, err := json.Marshal(map[string]string{"error": code, "error_description": marker})
	if err != nil {
		panic(err)
	}
	return string(document)
}

// Of all errors of OAuth 2.0 one is about the token. All others may be about us: a
// configuration that is wrong must not make every token invalid.
func TestOnlyAnUnsupportedTokenTypeIsAboutTheToken(t *testing.T) {
	const unsupported = unsupportedType
	for name, tt := range map[string]struct {
		respond http.HandlerFunc
		want    error
	}{
		"the error":           {answers(400, refusal(unsupported)), ErrInactive},
		"without description": {answers(400, `{"error":"`+unsupported+`"}`), ErrInactive},
		"compressed":          {statused(400, zipped(refusal(unsupported), 0)), ErrInactive},

		"invalid_request":           {answers(400, refusal("invalid_request")), ErrUnavailable},
		"invalid_client":            {answers(400, refusal("invalid_client")), ErrUnavailable},
		"unauthorized_client":       {answers(400, refusal("unauthorized_client")), ErrUnavailable},
		"invalid_token":             {answers(400, refusal("invalid_token")), ErrUnavailable},
		"invalid_grant":             {answers(400, refusal("invalid_grant")), ErrUnavailable},
		"no error":                  {answers(400, `{}`), ErrUnavailable},
		"null":                      {answers(400, `{"error":null}`), ErrUnavailable},
		"in a list":                 {answers(400, `{"error":["`+unsupported+`"]}`), ErrUnavailable},
		"further inside":            {answers(400, `{"error":{"error":"`+unsupported+`"}}`), ErrUnavailable},
		"another case":              {answers(400, refusal("Unsupported_Token_Type")), ErrUnavailable},
		"said twice":                {answers(400, `{"error":"`+unsupported+`","error":"invalid_client"}`), ErrUnavailable},
		"active beside it":          {answers(400, `{"error":"`+unsupported+`","active":true}`), ErrUnavailable},
		"quoted in the description": {answers(400, `{"error":"invalid_request","error_description":"`+unsupported+`"}`), ErrUnavailable},
		"truncated":                 {answers(400, `{"error":"`+unsupported+`"`), ErrUnavailable},
		"oversized":                 {answers(400, refusal(unsupported)+strings.Repeat(" ", maxAnswer)), ErrUnavailable},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(400)
			fmt.Fprint(w, refusal(unsupported))
		}, ErrUnavailable},

		"status 200": {answers(200, refusal(unsupported)), ErrUnavailable},
		"status 401": {answers(401, refusal(unsupported)), ErrUnavailable},
		"status 403": {answers(403, refusal(unsupported)), ErrUnavailable},
		"status 404": {answers(404, refusal(unsupported)), ErrUnavailable},
		"status 422": {answers(422, refusal(unsupported)), ErrUnavailable},
		"status 429": {answers(429, refusal(unsupported)), ErrUnavailable},
		"status 500": {answers(500, refusal(unsupported)), ErrUnavailable},
		"status 503": {answers(503, refusal(unsupported)), ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(newAuthority(tt.respond))
			defer web.Close()
			expect(t, openAt(t, web.URL, Options{}), name, opaque, tt.want)
		})
	}
}

// A 400 whose body ends early is an answer of a server that is there.
func TestA400ThatEndsEarlyKeepsNobodyAway(t *testing.T) {
	web := httptest.NewServer(newAuthority(func(w http.ResponseWriter, r *http.Request) {
		if r.Form.Get("token") == "poison" {
			raw("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")(w, r)
			return
		}
		says(`{"active":true}`)(w, r)
	}))
	defer web.Close()
	c := openAt(t, web.URL, Options{})
	expect(t, c, "the one", "poison", ErrUnavailable)
	expect(t, c, "another", opaque, nil)
}

// It counts as any answer that a token is not active: for a while, and for that token.
func TestAnUnsupportedTokenTypeIsKept(t *testing.T) {
	now := newClock()
	server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
		if r.Form.Get("token") == opaque {
			answers(400, refusal(unsupportedType))(w, r)
			return
		}
		says(`{"active":true}`)(w, r)
	})
	c := open(t, server, Options{Now: now.Now})
	for range 3 {
		expect(t, c, "it", opaque, ErrInactive)
		expect(t, c, "another", "another", nil)
	}
	if n := server.count(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	server.set(says(`{"active":true}`))
	now.pass(DefaultRejectTTL)
	expect(t, c, "after its time", opaque, nil)
}

// statused is respond with another status.
func statused(code int, respond http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { respond(statusWriter{w, code}, r) }
}

type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w statusWriter) Write(p []byte) (int, error) {
	w.WriteHeader(w.code)
	return w.ResponseWriter.Write(p)
}
