package caddymodule

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
)

// idVar is the variable of a request that has its JSON-RPC id.
const idVar = "token_auth.jsonrpc_id"

// remember keeps what an answer to r may need and what is gone once r was forwarded.
func (h *Handler) remember(r *http.Request) {
	if h.remembersID && caddyhttp.GetVar(r.Context(), idVar) == nil {
		caddyhttp.SetVar(r.Context(), idVar, requestID(r))
	}
}

// describe tells a dialect of r what it asks for. Most ask for nothing.
func (h *Handler) describe(r *http.Request) dialect.Request {
	return dialect.Request{
		ID: func() json.RawMessage {
			h.remember(r)
			id, _ := caddyhttp.GetVar(r.Context(), idVar).(json.RawMessage)
			return id
		},
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
func requestID(r *http.Request) json.RawMessage {
	if r.Method == http.MethodPost {
		body, err := readJSON(r)
		if err != nil {
			return json.RawMessage("null") // it may have one, and nobody knows
		}
		if id := dialect.MessageID(body); id != nil {
			return id
		}
	}
	return dialect.TextID(requestURL(r).Query().Get("id"))
}
