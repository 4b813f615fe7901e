package fakeexchange

import "encoding/json"

// request is a JSON-RPC request.
type request struct {
	ID     json.RawMessage            `json:"id"`
	Method string                     `json:"method"`
	Params map[string]json.RawMessage `json:"params"`
}

// response is the answer to it.
type response struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
	Testnet bool            `json:"testnet"`
}

// notification is a JSON-RPC request that wants no answer.
type notification struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

func respond(id json.RawMessage, result any, failure *rpcError) []byte {
	return encode(response{Version: "2.0", ID: id, Result: result, Error: failure, Testnet: true})
}

// encode returns the JSON of what only has types that can be encoded.
func encode(message any) []byte {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // a published value that is none
	}
	return text
}

// answer carries out a call that came on a connection, and returns what is to be sent, or
// nil.
func (x *Exchange) answer(c *connection, message []byte) []byte {
	var r request
	if err := json.Unmarshal(message, &r); err != nil {
		return respond(json.RawMessage("null"), nil, errParse)
	}
	result, failure := x.do(&call{connection: c, method: r.Method, params: r.Params})
	if result == nil && failure == nil {
		return nil
	}
	return respond(r.ID, result, failure)
}

// notify sends a notification.
func (c *connection) notify(method string, params any) {
	c.enqueue(outgoing{message: encode(notification{Version: "2.0", Method: method, Params: params})})
}
