package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/jsonrpc"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// JSONRPC is where an API takes JSON-RPC 2.0 over HTTP: each method at a path of its own,
// or named in the body. Methods below public/ need no credential, all others do;
// public/auth and its relatives are watched like a login.
type JSONRPC struct {
	// Path above the methods, without a slash at its end.
	Path string `json:"path"`
}

// rpcPaths are the paths of the methods. A nil one has none.
type rpcPaths struct {
	base endpoint
}

func newRPCPaths(config *JSONRPC) (*rpcPaths, error) {
	if config == nil {
		return nil, nil
	}
	if strings.HasSuffix(config.Path, "/") {
		return nil, errors.New("the path ends in a slash")
	}
	base, err := newEndpoint(config.Path)
	if err != nil {
		return nil, err
	}
	return &rpcPaths{base: base}, nil
}

// include reports whether an upstream could take p for one of a method.
func (paths *rpcPaths) include(p requestPath) bool {
	if paths == nil {
		return false
	}
	// The base, and what is below it.
	depth := strings.Count(paths.base.exact, "/")
	return paths.base.mayBe(requestPath{loose: firstSegments(p.loose, depth), behind: firstSegments(p.behind, depth)})
}

// firstSegments returns the first n segments of a path.
func firstSegments(p string, n int) string {
	for i := range len(p) {
		if p[i] == '/' {
			if n--; n < 0 {
				return p[:i]
			}
		}
	}
	return p
}

// method returns the method that p names, "" if it names none. ok is false if p can be read
// in more than one way.
func (paths *rpcPaths) method(p requestPath) (method string, ok bool) {
	rest, below := strings.CutPrefix(p.exact, paths.base.exact)
	switch {
	case p.exact == "" || !below:
		return "", false
	case rest == "":
		return "", true
	}
	return rest[1:], true
}

// maxRPCBody bounds the bodies of calls. The largest that the documented API has, quotes
// in bulk, take some dozen kilobytes. To read one takes up to twenty times its length of memory,
// and anybody may send one.
const maxRPCBody = 128 << 10

// rpcParsing has room for the bodies that are parsed at a time, of all requests.
var rpcParsing = make(chan struct{}, 8)

// parseRPC parses the body of a call.
func parseRPC(body []byte) (jsonrpc.Payload, error) {
	rpcParsing <- struct{}{}
	defer func() { <-rpcParsing }()
	return jsonrpc.Parse(body)
}

var (
	errRPCMethod = errors.New("the request names no method, or two")
	errRPCBatch  = errors.New("a batch over HTTP")
	errRPCParam  = errors.New("the tokens among the parameters can be read in more than one way")
)

// rpcCall is one call.
type rpcCall struct {
	method  string
	access  collected // access tokens among the parameters
	refresh collected
}

// serveRPC judges a call by its method.
func (h *Handler) serveRPC(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, p requestPath) error {
	if m := (methods{http.MethodGet, http.MethodPost}); !m.has(r.Method) {
		return h.refuseMethod(w, r, next, m)
	}
	call, refused := h.readCall(r, p)
	if refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	h.remember(r)
	switch {
	case call.method == "private/logout":
		return h.refuseOr(w, r, &refusal{reason: dialect.NotWebSocket}, next)
	case issuesTokens(call.method) && call.refresh.raw != "":
		if _, refused := h.judgeAs(r, call.refresh.raw, revocation.UseRefresh); refused != nil {
			return h.refuseOr(w, r, refused, next)
		}
		return h.exchange(w, r, next, call.refresh.raw)
	case issuesTokens(call.method):
		return h.serveLogin(w, r, next)
	case jsonrpc.PublicMethod(call.method):
		return h.pass(w, r, next)
	}
	found, err := h.sources.find(r)
	if call.access.raw != "" {
		switch {
		case err == nil && (found.kind != kindToken || found.text != call.access.raw):
			err = token.ErrConflict
		case errors.Is(err, token.ErrMissing):
			found, err = credential{text: call.access.raw}, nil
		}
	}
	c, refused := h.authorizeFound(r, found, err)
	if refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	return h.proceed(w, r, next, &c)
}

// issuesTokens reports whether the answer to a method hands out tokens.
func issuesTokens(method string) bool {
	return method == "public/auth" || method == "public/fork_token" || method == "public/exchange_token"
}

// readCall finds out what is called, and with which tokens among the parameters. What the
// path says and what the body says must be the same.
func (h *Handler) readCall(r *http.Request, p requestPath) (rpcCall, *refusal) {
	var call rpcCall
	method, ok := h.rpc.method(p)
	if !ok {
		return call, &refusal{reason: dialect.InvalidRequest, err: errAmbiguousPath}
	}
	call.method = method
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return call, &refusal{reason: dialect.InvalidRequest, err: errTokenElsewhere}
	}
	for name, values := range query {
		switch {
		case jsonrpc.LooksLikeParam(name), name != "method" && strings.EqualFold(name, "method"):
			return call, &refusal{reason: dialect.InvalidRequest, err: errRPCParam}
		case name == "access_token":
			call.access.addAll(values)
		case name == "refresh_token":
			call.refresh.addAll(values)
		case name == "method" && (len(values) > 1 || call.method != "" && values[0] != call.method):
			return call, &refusal{reason: dialect.InvalidRequest, err: errRPCMethod}
		case name == "method":
			call.method = values[0]
		}
	}
	if refused := call.readBody(r); refused != nil {
		return call, refused
	}
	switch {
	case call.method == "":
		return call, &refusal{reason: dialect.InvalidRequest, err: errRPCMethod}
	case !jsonrpc.KnownMethod(call.method):
		return call, &refusal{reason: dialect.MethodNotAllowed, err: errRPCMethod}
	case call.access.conflict || call.refresh.conflict:
		return call, credentialRefusal(token.ErrConflict)
	}
	return call, nil
}

// readBody adds what the body says.
func (call *rpcCall) readBody(r *http.Request) *refusal {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	// Some clients give no media type, or a plain one; a form would be another reading.
	if kind, err := bodyKind(r); kind == inForm || err != nil && !isPlainText(r) {
		return &refusal{reason: dialect.MalformedRequest, err: errNotJSON}
	}
	body, err := readBodyUpTo(r, maxRPCBody)
	switch {
	case errors.Is(err, errBodyTooLarge):
		return &refusal{reason: dialect.RequestTooLarge, err: err}
	case err != nil:
		return &refusal{reason: dialect.MalformedRequest, err: err}
	case len(body) == 0:
		return nil
	}
	payload, err := parseRPC(body)
	caddyhttp.SetVar(r.Context(), idVar, idOf(payload, err))
	switch {
	case errors.Is(err, jsonrpc.ErrParse):
		return &refusal{reason: dialect.MalformedRequest, err: err}
	case err != nil:
		return &refusal{reason: dialect.InvalidRequest, err: err}
	case payload.Batch:
		return &refusal{reason: dialect.InvalidRequest, err: errRPCBatch}
	}
	message := &payload.Messages[0]
	if call.method != "" && message.Method != call.method {
		return &refusal{reason: dialect.InvalidRequest, err: errRPCMethod}
	}
	call.method = message.Method
	if message.Positional() && (issuesTokens(call.method) || !jsonrpc.PublicMethod(call.method)) {
		// Nobody knows which of them are tokens.
		return &refusal{reason: dialect.InvalidRequest, err: errRPCParam}
	}
	for name, to := range map[string]*collected{"access_token": &call.access, "refresh_token": &call.refresh} {
		value, ok := message.Param(name)
		if !ok || value.Kind() == 'n' {
			continue
		}
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return &refusal{reason: dialect.InvalidRequest, err: errRPCParam}
		}
		to.add(string(text))
	}
	return nil
}

// idOf is the id that an answer to a body has: null where it cannot be known.
func idOf(payload jsonrpc.Payload, err error) json.RawMessage {
	if invalid, ok := errors.AsType[*jsonrpc.Error](err); ok && invalid.ID != nil {
		return json.RawMessage(invalid.ID)
	}
	if err != nil || payload.Batch {
		return json.RawMessage("null")
	}
	return json.RawMessage(payload.Messages[0].ID)
}

// isPlainText reports whether a body without content encoding says that it is plain text.
func isPlainText(r *http.Request) bool {
	types := r.Header["Content-Type"]
	return len(r.Header["Content-Encoding"]) == 0 && len(types) == 1 && strings.HasPrefix(strings.ToLower(types[0]), "text/plain")
}
