package fakeexchange

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// signatureAge is how far the timestamp of a signature may be from the clock.
const signatureAge = time.Minute

// auth is public/auth.
func (x *Exchange) auth(c *call) (any, *rpcError) {
	var a *account
	switch grantType := c.text("grant_type"); grantType {
	case "client_credentials":
		client, ok := x.options.Clients[c.text("client_id")]
		if !ok || subtle.ConstantTimeCompare([]byte(client.Secret), []byte(c.text("client_secret"))) != 1 {
			return nil, errCredentials
		}
		a = x.accounts[client.Account]
	case "client_signature":
		signed := c.text("timestamp") + "\n" + c.text("nonce") + "\n" + c.text("data")
		if a = x.signer(c.text("client_id"), c.text("timestamp"), c.text("signature"), signed); a == nil {
			return nil, errCredentials
		}
	case "refresh_token":
		t := x.live(c.text("refresh_token"), true)
		if t == nil {
			return nil, errCredentials
		}
		return x.issue(c, t.account, t.scope)
	default:
		return nil, badParam("grant_type")
	}
	return x.issue(c, a, c.text("scope"))
}

// signer returns the account of the client that has signed this, or nil. timestamp is in
// milliseconds.
func (x *Exchange) signer(id, timestamp, signature, signed string) *account {
	client, ok := x.options.Clients[id]
	got, err := hex.DecodeString(signature)
	at, notNumber := strconv.ParseInt(timestamp, 10, 64)
	if !ok || err != nil || notNumber != nil || x.options.Now().Sub(time.UnixMilli(at)).Abs() > signatureAge {
		return nil
	}
	mac := hmac.New(sha256.New, []byte(client.Secret))
	mac.Write([]byte(signed))
	if !hmac.Equal(mac.Sum(nil), got) {
		return nil
	}
	return x.accounts[client.Account]
}

// signedRequest returns the account whose client has signed an HTTP request, by the
// Authorization field of the scheme deri-hmac-sha256, or nil.
func (x *Exchange) signedRequest(field, method, uri, body string) *account {
	values := make(map[string]string)
	for pair := range strings.SplitSeq(field, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		values[name] = value
	}
	signed := values["ts"] + "\n" + values["nonce"] + "\n" + strings.ToUpper(method) + "\n" + uri + "\n" + body + "\n"
	return x.signer(values["id"], values["ts"], values["sig"], signed)
}

// forkToken is public/fork_token: a named session from a refresh token.
func (x *Exchange) forkToken(c *call) (any, *rpcError) {
	t := x.live(c.text("refresh_token"), true)
	name := c.text("session_name")
	switch {
	case t == nil:
		return nil, errCredentials
	case name == "" || strings.ContainsAny(name, " \t\n"):
		return nil, badParam("session_name")
	}
	return x.issue(c, t.account, "session:"+name)
}

// exchangeToken is public/exchange_token: tokens of another account of the same client.
func (x *Exchange) exchangeToken(c *call) (any, *rpcError) {
	t := x.live(c.text("refresh_token"), true)
	if t == nil {
		return nil, errCredentials
	}
	number, err := strconv.ParseInt(c.text("subject_id"), 10, 64)
	client := x.options.Clients[t.account.client]
	if err != nil || number != client.Account && !slices.Contains(client.Subaccounts, number) {
		return nil, badParam("subject_id")
	}
	return x.issue(c, x.accounts[number], t.scope)
}

// logout is private/logout, to which there is no answer.
func (x *Exchange) logout(c *call) (any, *rpcError) {
	invalidate, failure := c.flag("invalidate_token", true)
	if failure != nil {
		return nil, failure
	}
	if invalidate {
		if t := x.presented(c); t != nil {
			t.session.ended = true
		}
		c.connection.session.ended = true
	}
	x.finish(c.connection, EndLogout, 0)
	c.connection.enqueue(outgoing{code: websocket.StatusNormalClosure})
	return nil, nil
}
