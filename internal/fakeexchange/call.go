package fakeexchange

import (
	"encoding/json"
	"strconv"
	"strings"
)

// call is one call of a method.
type call struct {
	connection *connection // nil over HTTP
	method     string
	params     map[string]json.RawMessage
	// bearer is the token in the Authorization field, and signer the account whose client
	// has signed the request. Over HTTP only.
	bearer string
	signer *account
	// caller is the account that calls a private method.
	caller *account
}

// rpcError is the error of an answer.
type rpcError struct {
	Code    int               `json:"code"`
	Message string            `json:"message"`
	Data    map[string]string `json:"data,omitempty"`
}

var (
	errParse        = &rpcError{Code: -32700, Message: "Parse error"}
	errMethod       = &rpcError{Code: -32601, Message: "Method not found"}
	errWebSocket    = &rpcError{Code: 10030, Message: "must_be_websocket_request"}
	errTooMany      = &rpcError{Code: 10028, Message: "too_many_requests"}
	errCredentials  = &rpcError{Code: 13004, Message: "invalid_credentials"}
	errUnauthorized = &rpcError{Code: 13009, Message: "unauthorized", Data: map[string]string{"reason": "invalid_token"}}
)

// badParam says which parameter is not as it should be.
func badParam(name string) *rpcError {
	return &rpcError{Code: -32602, Message: "Invalid params", Data: map[string]string{"param": name, "reason": "invalid"}}
}

// text returns a parameter as text: a number as it was written.
func (c *call) text(name string) string {
	raw := c.params[name]
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// number returns a parameter that is a number above zero, or is written like one.
func (c *call) number(name string) (float64, *rpcError) {
	n, err := strconv.ParseFloat(c.text(name), 64)
	if err != nil || !(n > 0) {
		return 0, badParam(name)
	}
	return n, nil
}

// flag returns a parameter that is true or false.
func (c *call) flag(name string, otherwise bool) (bool, *rpcError) {
	switch c.text(name) {
	case "", "null":
		return otherwise, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, badParam(name)
}

// texts returns a parameter that is a list.
func (c *call) texts(name string) ([]string, *rpcError) {
	var list []string
	if err := json.Unmarshal(c.params[name], &list); err != nil {
		return nil, badParam(name)
	}
	return list, nil
}

// method carries out a call. x.mu is held. A nil result with a nil error is no answer.
type method func(x *Exchange, c *call) (result any, failure *rpcError)

var methods = map[string]method{
	"public/auth":                           (*Exchange).auth,
	"public/fork_token":                     (*Exchange).forkToken,
	"public/exchange_token":                 (*Exchange).exchangeToken,
	"public/test":                           (*Exchange).test,
	"public/get_time":                       (*Exchange).time,
	"public/get_currencies":                 (*Exchange).currencies,
	"public/get_instruments":                (*Exchange).instruments,
	"public/set_heartbeat":                  (*Exchange).setHeartbeat,
	"public/disable_heartbeat":              (*Exchange).stopHeartbeat,
	"public/subscribe":                      (*Exchange).subscribe,
	"public/unsubscribe":                    (*Exchange).unsubscribe,
	"private/subscribe":                     (*Exchange).subscribe,
	"private/unsubscribe":                   (*Exchange).unsubscribe,
	"private/buy":                           (*Exchange).order,
	"private/sell":                          (*Exchange).order,
	"private/cancel":                        (*Exchange).cancelOne,
	"private/cancel_all":                    (*Exchange).cancelAll,
	"private/get_open_orders":               (*Exchange).openOrders,
	"private/get_open_orders_by_currency":   (*Exchange).openOrders,
	"private/get_open_orders_by_instrument": (*Exchange).openOrders,
	"private/get_account_summary":           (*Exchange).accountSummary,
	"private/enable_cancel_on_disconnect":   (*Exchange).switchCancel,
	"private/disable_cancel_on_disconnect":  (*Exchange).switchCancel,
	"private/get_cancel_on_disconnect":      (*Exchange).getCancel,
	"private/logout":                        (*Exchange).logout,
}

// do carries out a call and records it.
func (x *Exchange) do(c *call) (any, *rpcError) {
	x.mu.Lock()
	defer x.mu.Unlock()
	result, failure := x.dispatch(c)
	e := Event{Kind: Called, Method: c.method}
	if c.connection != nil {
		e.Connection = c.connection.number
	}
	if c.caller != nil {
		e.Account = c.caller.number
	}
	if failure != nil {
		e.Error = failure.Code
	}
	x.record.add(e)
	return result, failure
}

func (x *Exchange) dispatch(c *call) (any, *rpcError) {
	m, ok := methods[c.method]
	if !ok || c.method == "private/logout" && x.options.NoLogout {
		return nil, errMethod
	}
	if c.connection == nil && needsWebSocket(c) {
		return nil, errWebSocket
	}
	if strings.HasPrefix(c.method, "private/") {
		if c.caller = x.caller(c); c.caller == nil {
			return nil, errUnauthorized
		}
	}
	return m(x, c)
}

// needsWebSocket reports whether a call makes sense on a connection only.
func needsWebSocket(c *call) bool {
	switch c.method {
	case "private/logout", "public/set_heartbeat", "public/disable_heartbeat",
		"public/subscribe", "public/unsubscribe", "private/subscribe", "private/unsubscribe":
		return true
	case "private/enable_cancel_on_disconnect", "private/disable_cancel_on_disconnect", "private/get_cancel_on_disconnect":
		return c.text("scope") != scopeAccount
	}
	return false
}
