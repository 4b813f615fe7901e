package jsonrpc

import "testing"

// A server that looks for a token beside params would read one that nobody has judged.
func TestTokenOutsideOfParamsIsRefused(t *testing.T) {
	for _, name := range []string{"access_token", "refresh_token", "accessToken", "access_to\u212aen", "access_token\\u0000"} {
		if _, err := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"private/buy","params":{},"` + name + `":"x"}`)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"private/buy","params":{"access_token":"x"},"testnet":true}`,
		`{"jsonrpc":"2.0","id":1,"result":{},"access_token":"x","usIn":1}`,
	} {
		if _, err := Parse([]byte(message)); err != nil {
			t.Errorf("%s: %v", message, err)
		}
	}
}
