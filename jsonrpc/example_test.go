package jsonrpc_test

import (
	"context"
	"fmt"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/jsonrpc"
)

// tokens is an Authorizer that knows what it has seen being issued.
type tokens map[jsonrpc.Secret]bool

func (t tokens) Check(_ context.Context, c jsonrpc.Credential) jsonrpc.Verdict {
	return jsonrpc.Verdict{Live: t[c.Token], Reason: dialect.InvalidCredential}
}

func (tokens) Asking(context.Context) {}

func (t tokens) Learned(_ context.Context, g jsonrpc.Grant) (string, error) {
	t[g.Access], t[g.Refresh] = true, true
	return "this connection", nil
}

func (t tokens) Revoke(_ context.Context, l jsonrpc.Logout) error {
	fmt.Printf("revoke the tokens of %q\n", l.Sessions)
	clear(t)
	return nil
}

func Example() {
	deribit, err := dialect.Named("deribit")
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := jsonrpc.NewSession(jsonrpc.Config{Authorizer: tokens{}, Dialect: deribit})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	show := func(d jsonrpc.Decision) {
		fmt.Printf("%v (%s%s)\n", d.Action, d.Reason, d.Payload)
	}
	buy := []byte(`{"jsonrpc":"2.0","id":1,"method":"private/buy","params":{}}`)

	show(session.FromClient(ctx, buy))
	show(session.FromClient(ctx, []byte(`{"jsonrpc":"2.0","id":2,"method":"public/auth","params":{"grant_type":"client_credentials"}}`)))
	show(session.FromServer(ctx, []byte(`{"jsonrpc":"2.0","id":2,"result":{"access_token":"a","refresh_token":"r","scope":"connection"}}`)))
	show(session.FromClient(ctx, buy))
	show(session.FromClient(ctx, []byte(`{"jsonrpc":"2.0","id":3,"method":"private/logout","params":{}}`)))
	// Output:
	// answer ({"jsonrpc":"2.0","id":1,"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}})
	// forward ()
	// forward ()
	// forward ()
	// revoke the tokens of ["this connection"]
	// close (logout)
}

func ExampleParse() {
	payload, err := jsonrpc.Parse([]byte(`{"id":1,"method":"public/get_time","Method":"private/buy"}`))
	fmt.Println(len(payload.Messages), err)
	// Output: 0 JSON-RPC invalid request: a member looks like another
}
