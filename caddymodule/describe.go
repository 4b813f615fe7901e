package caddymodule

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"example.com/caddy-token-auth/dialect"
)

// describe tells a dialect of r what it asks for. Most ask for nothing.
func describe(w http.ResponseWriter, r *http.Request) dialect.Request {
	return dialect.Request{
		ID: func() json.RawMessage { return requestID(w, r) },
		Value: func(name string) (string, bool) {
			repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
			if !ok {
				return "", false
			}
			value, ok := repl.Get(name)
			return caddy.ToString(value), ok
		},
	}
}

// requestID is the id of a JSON-RPC request: in the message that a POST has as its
// body, otherwise in the query. The body is bounded, and put back.
func requestID(w http.ResponseWriter, r *http.Request) json.RawMessage {
	if r.Method == http.MethodPost {
		body, err := readBody(w, r)
		if err != nil {
			return json.RawMessage("null") // it may have one, and nobody knows
		}
		if id := dialect.MessageID(body); id != nil {
			return id
		}
	}
	return dialect.TextID(requestURL(r).Query().Get("id"))
}
