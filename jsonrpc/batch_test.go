package jsonrpc

import (
	"slices"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

const (
	publicCall  = `{"id":1,"method":"public/test"}`
	privateCall = `{"id":"p","method":"private/buy","params":{}}`
	withToken   = `{"id":3,"method":"private/sell","params":{"access_token":"live"}}`
)

func TestBatchIsForwardedOnlyIfEveryCallIs(t *testing.T) {
	c := connect(t, nil)
	c.passes("[" + publicCall + "," + withToken + `,{"method":"public/get_time"}]` + "\n")

	c = connect(t, nil)
	c.isAnswered("["+publicCall+","+privateCall+","+withToken+"]", "["+notExecutedAnswer("1")+","+unauthorized(`"p"`)+","+notExecutedAnswer("3")+"]")
	if len(c.open) > 0 {
		t.Error("a call of a refused batch is taken for open")
	}
	c.isAnswered("["+privateCall+"]", "["+unauthorized(`"p"`)+"]")
	c.isAnswered(`[{"method":"private/buy"},`+publicCall+`]`, "["+notExecutedAnswer("1")+"]")

	c.authenticate("own", "connection")
	c.auth.checked = nil
	c.passes("[" + publicCall + "," + privateCall + "," + withToken + `,{"method":"private/buy"}]`)
	if want := []Credential{{Token: "own", Own: true}, {Token: "live"}}; !slices.Equal(c.auth.checked, want) {
		t.Errorf("checked %d credentials", len(c.auth.checked))
	}
	c.auth.set("live", dialect.RevokedCredential)
	c.reaches(`[{"id":1,"result":1},{"id":"p","result":1},{"id":3,"result":1}]`)
	c.isAnswered("["+publicCall+","+privateCall+","+withToken+"]", "["+notExecutedAnswer("1")+","+notExecutedAnswer(`"p"`)+","+unauthorized("3")+"]")
}

func TestRefusedBatchOfNotificationsHasNoAnswer(t *testing.T) {
	c := connect(t, nil)
	d := c.sends(`[{"method":"private/buy"},{"method":"private/sell"}]`)
	if d.Action != Drop || d.Payload != nil || len(d.Refused) != 2 {
		t.Errorf("%v: %s", d, d.Payload)
	}
}

// notExecutedAnswer says nothing that invites to send the batch again.
func notExecutedAnswer(id string) string {
	return invalidBecause(id, "another call of the batch is refused")
}

func invalidBecause(id, reason string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"` + reason + `"}}}`
}

func TestBatchThatIsRefusedForNowMayBeSentAgain(t *testing.T) {
	c := connect(t, nil)
	c.auth.set("live", dialect.Unavailable)
	c.isAnswered("["+publicCall+","+withToken+"]", "["+unavailable("1")+","+unavailable("3")+"]")
}

func TestCallsThatCannotShareABatch(t *testing.T) {
	auth := authCall(9)
	for _, tc := range []struct{ name, batch, want string }{
		{"logout", "[" + publicCall + "," + call42("private/logout", `{"access_token":"live"}`) + "]", "[" + notExecutedAnswer("1") + "," + invalidBecause("42", "private/logout must not be in a batch with other calls") + "]"},
		{"same id", `[{"id":1,"method":"public/test"},{"id":1.0,"method":"public/get_time"}]`, "[" + notExecutedAnswer("1") + "," + invalidBecause("1.0", "two calls of a batch have the same id") + "]"},
		{"two authentications", "[" + auth + "," + authCall(10) + "]", "[" + notExecutedAnswer("9") + "," + invalidBecause("10", "only one call of a batch may ask for tokens") + "]"},
		{"private behind auth", "[" + auth + "," + privateCall + "]", "[" + notExecutedAnswer("9") + "," + unauthorized(`"p"`) + "]"},
		{"private before auth", "[" + privateCall + "," + auth + "]", "[" + unauthorized(`"p"`) + "," + notExecutedAnswer("9") + "]"},
		{"answer", `[{"id":1,"result":{"access_token":"a"}},` + `{"id":2,"method":"public/test"}]`, "[" + invalid("1") + "," + notExecutedAnswer("2") + "]"},
		{"auth without id", `[{"method":"public/auth","params":{}},` + publicCall + "]", "[" + invalid("null") + "," + notExecutedAnswer("1") + "]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, nil)
			c.authenticate("own", "connection")
			c.isAnswered(tc.batch, tc.want)
			if len(c.auth.logouts) > 0 || c.LoggedOut() {
				t.Error("logged out")
			}
		})
	}
}

func TestAuthInABatchIsWatched(t *testing.T) {
	c := connect(t, nil)
	c.passes("[" + publicCall + "," + authCall(9) + "," + withToken + "]")
	c.waits("[" + publicCall + "," + privateCall + "]")
	c.auth.learnErr = errStore
	d := c.receives(`[{"id":1,"result":{"version":"1"}}, ` + granted(9, "new", "connection") + ` ,{"id":3,"result":[ ]}]`)
	if want := `[{"id":1,"result":{"version":"1"}},` + unavailable("9") + `,{"id":3,"result":[ ]}]`; d.Action != Answer || string(d.Payload) != want {
		t.Fatalf("%v: %s", d, d.Payload)
	}
	c.auth.learnErr = nil
	c.passes("[" + authCall(9) + "]")
	c.reaches("[" + granted(9, "new", "connection") + "]")
	c.passes("[" + privateCall + "]")
}

func TestLogoutAloneInABatchIsALogout(t *testing.T) {
	c := connect(t, nil)
	d := c.sends("[" + call42("private/logout", `{"access_token":"live"}`) + "]")
	if d.Action != Close || d.Code != CloseNormal || d.Payload != nil || len(c.auth.logouts) != 1 {
		t.Errorf("%v: %s", d, d.Payload)
	}
	c = connect(t, nil)
	c.auth.revokeErr = errStore
	c.isAnswered("["+call42("private/logout", `{"access_token":"live"}`)+"]", "["+unavailable("42")+"]")
}
