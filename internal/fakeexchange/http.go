package fakeexchange

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// serveCall carries out one call over HTTP. method is what the path names, or "".
func (x *Exchange) serveCall(w http.ResponseWriter, r *http.Request, method string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	c, id, failure := x.readCall(r, method, body)
	var result any
	if failure == nil {
		result, failure = x.do(c)
	}
	w.Header().Set("Content-Type", "application/json")
	if failure != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write(respond(id, result, failure)) //nolint:gosec // JSON; nobody is there to be told of an error
}

// readCall returns the call that a request stands for.
func (x *Exchange) readCall(r *http.Request, method string, body []byte) (*call, json.RawMessage, *rpcError) {
	rpc := request{Params: fromQuery(r.URL.Query())}
	if r.Method == http.MethodPost && len(body) > 0 {
		if err := json.Unmarshal(body, &rpc); err != nil {
			return nil, json.RawMessage("null"), errParse
		}
	}
	if method == "" {
		method = rpc.Method
	}
	c := &call{method: method, params: rpc.Params}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		c.bearer = credential
	case "deri-hmac-sha256":
		c.signer = x.signedRequest(credential, r.Method, r.RequestURI, string(body))
	}
	return c, rpc.ID, nil
}

// fromQuery returns parameters, as JSON where they are JSON, and otherwise as text.
func fromQuery(query url.Values) map[string]json.RawMessage {
	params := make(map[string]json.RawMessage, len(query))
	for name := range query {
		value := query.Get(name)
		if !json.Valid([]byte(value)) {
			value = string(encode(value))
		}
		params[name] = json.RawMessage(value)
	}
	return params
}
