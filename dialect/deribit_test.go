package dialect_test

import (
	"encoding/json"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

const unauthorized = `"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}`

func TestDeribitAnswersAsDocumented(t *testing.T) {
	d := named(t, "deribit")
	checkRefusals(t, d, "application/json", []want{
		{dialect.MissingCredential, 400, `{"jsonrpc":"2.0",` + unauthorized},
		{dialect.InvalidCredential, 400, `{"jsonrpc":"2.0",` + unauthorized},
		{dialect.ExpiredCredential, 400, `{"jsonrpc":"2.0",` + unauthorized},
		{dialect.RevokedCredential, 400, `{"jsonrpc":"2.0",` + unauthorized},
		{dialect.AgedCredential, 400, `{"jsonrpc":"2.0",` + unauthorized},
		{dialect.InvalidAPIKey, 400, `{"jsonrpc":"2.0",` + unauthorized},
		{dialect.AddressForbidden, 400, `{"jsonrpc":"2.0","error":{"code":13021,"message":"forbidden"}}`},
		{dialect.RateLimited, 400, `{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}`},
		{dialect.TooManyConnections, 400, `{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}`},
		{dialect.MalformedRequest, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		{dialect.InvalidRequest, 400, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params"}}`},
		{dialect.RequestTooLarge, 400, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"request entity too large"}}`},
		{dialect.MethodNotAllowed, 400, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"}}`},
		{dialect.NotWebSocket, 400, `{"jsonrpc":"2.0","error":{"code":10030,"message":"must_be_websocket_request"}}`},
		{dialect.UpgradeRefused, 400, `{"jsonrpc":"2.0","error":{"code":10033,"message":"not_implemented"}}`},
		{dialect.Unavailable, 503, `{"jsonrpc":"2.0","error":{"code":13028,"message":"temporarily_unavailable"}}`},
	})
	checkAnswer(t, "logged out", d.LoggedOut(dialect.Request{}), 200, "application/json", `{"jsonrpc":"2.0","result":"ok"}`)
}

// Every member has its place: jsonrpc, id, error.
func TestDeribitSendsTheIDBack(t *testing.T) {
	d := named(t, "deribit")
	for _, reason := range dialect.Reasons() {
		var object struct {
			Error json.RawMessage `json:"error"`
		}
		plain := d.Refuse(dialect.Refusal{Reason: reason})
		if err := json.Unmarshal(plain.Body, &object); err != nil {
			t.Fatal(err)
		}
		got := d.Refuse(dialect.Refusal{Reason: reason, Request: withID("42")})
		checkAnswer(t, reason.String(), got, plain.Status, "application/json", `{"jsonrpc":"2.0","id":42,"error":`+string(object.Error)+`}`)
	}
	checkAnswer(t, "logged out", d.LoggedOut(withID(`"a"`)), 200, "application/json", `{"jsonrpc":"2.0","id":"a","result":"ok"}`)
}

// The id is asked for only where it is used: to read it may cost a body.
func TestOtherDialectsDoNotAskForTheID(t *testing.T) {
	for _, name := range dialect.Names() {
		if name == "deribit" {
			continue
		}
		d := named(t, name)
		request := dialect.Request{
			ID: func() json.RawMessage { t.Errorf("%s asks for the id", name); return nil },
			Value: func(placeholder string) (string, bool) {
				t.Errorf("%s asks for %s", name, placeholder)
				return "", false
			},
		}
		for _, reason := range dialect.Reasons() {
			d.Refuse(dialect.Refusal{Reason: reason, Request: request})
		}
		d.LoggedOut(request)
	}
}
