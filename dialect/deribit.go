package dialect

import "net/http"

// deribit is the format of the Deribit API, version 2: JSON-RPC 2.0, here over HTTP.
//
//	{"jsonrpc":"2.0","id":42,"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}
//
// The API answers every error with status 400. Unavailable alone has 503, so that
// proxies, and clients that know nothing of JSON-RPC, see that it will pass.
//
// Whether there is an id follows the API where the request has none, and JSON-RPC
// 2.0 §5 where it cannot be read:
//   - The request has no id, like most GET requests: the answer has none either.
//   - The request has one, but not one that may be sent back; or it could not be
//     parsed, so that nobody knows: the id is null.
//
// The API has no answer to a logout: over HTTP it is NotWebSocket, and on a
// WebSocket the connection is closed. Where a path of one's own is configured for
// it, the answer is the one that the API has for calls with nothing to tell, "ok".
type deribit struct{}

type deribitError struct {
	status int
	object string
}

// The codes and messages are those of the API's list of RPC error codes, which has
// a meaning of its own for -32600.
var deribitErrors = [reasonCount]deribitError{
	Unavailable:        {http.StatusServiceUnavailable, `{"code":13028,"message":"temporarily_unavailable"}`},
	MissingCredential:  deribitUnauthorized,
	InvalidCredential:  deribitUnauthorized,
	ExpiredCredential:  deribitUnauthorized,
	RevokedCredential:  deribitUnauthorized,
	AgedCredential:     deribitUnauthorized,
	InvalidAPIKey:      deribitUnauthorized,
	AddressForbidden:   {http.StatusBadRequest, `{"code":13021,"message":"forbidden"}`},
	RateLimited:        {http.StatusBadRequest, `{"code":10028,"message":"too_many_requests"}`},
	TooManyConnections: {http.StatusBadRequest, `{"code":10028,"message":"too_many_requests"}`},
	MalformedRequest:   {http.StatusBadRequest, `{"code":-32700,"message":"Parse error"}`},
	InvalidRequest:     {http.StatusBadRequest, `{"code":-32602,"message":"Invalid params"}`},
	RequestTooLarge:    {http.StatusBadRequest, `{"code":-32600,"message":"request entity too large"}`},
	MethodNotAllowed:   {http.StatusBadRequest, `{"code":-32601,"message":"Method not found"}`},
	NotWebSocket:       {http.StatusBadRequest, `{"code":10030,"message":"must_be_websocket_request"}`},
	UpgradeRefused:     {http.StatusBadRequest, `{"code":10033,"message":"not_implemented"}`},
}

var deribitUnauthorized = deribitError{
	http.StatusBadRequest, `{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}`,
}

func (deribit) Refuse(refusal Refusal) Answer {
	reason := refusal.Reason.known()
	id := refusal.echoedID()
	if id == nil && (reason == MalformedRequest || reason == RequestTooLarge) {
		id = nullID
	}
	e := deribitErrors[reason]
	return jsonRPC(e.status, id, "error", e.object)
}

func (deribit) LoggedOut(request Request) Answer {
	return jsonRPC(http.StatusOK, request.echoedID(), "result", `"ok"`)
}

// jsonRPC is a response object (JSON-RPC 2.0 §5) with one more member. Without an
// id, the answer has no such member.
func jsonRPC(status int, id []byte, member, value string) Answer {
	const (
		version = `{"jsonrpc":"2.0",`
		idName  = `"id":`
	)
	body := make([]byte, 0, len(version)+len(idName)+len(id)+len(member)+len(value)+len(`,"":}`))
	body = append(body, version...)
	if id != nil {
		body = append(body, idName...)
		body = append(body, id...)
		body = append(body, ',')
	}
	body = append(body, '"')
	body = append(body, member...)
	body = append(body, `":`...)
	body = append(body, value...)
	body = append(body, '}')
	return Answer{Status: status, ContentType: typeJSON, Body: body}
}
