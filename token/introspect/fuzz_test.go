package introspect

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzParse compares parse with what encoding/json reads from the same document.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"active":true,"sub":"alice","client_id":42,"exp":1768478400.5,"aud":["a"],"x":{ "y" : [1] }}`))
	f.Add([]byte(`{"active":false}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		a, err := parse(doc, "client_id", "sid")
		if (a == nil) != (err != nil) {
			t.Fatalf("answer %v, error %v", a != nil, err)
		}
		if err != nil && !knownText(err.Error()) {
			t.Fatalf("the error %q may quote the answer", err)
		}
		if err != nil && !errors.Is(err, ErrInactive) {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(doc, &members); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		switch active := string(members["active"]); {
		case err == nil && active != "true":
			t.Fatalf("active is %s, and the token as well", active)
		case err != nil && active != "false" && !errors.Is(err, errNotAccessToken):
			t.Fatalf("active is %s, but not the token", active)
		case err != nil:
			return
		}
		for name, value := range members {
			claim, ok := a.Claim(name)
			if ok == (string(value) == "null") {
				t.Fatalf("claim %q is there: %v", name, ok)
			}
			var text string
			if json.Unmarshal(value, &text) == nil && claim != text {
				t.Fatalf("claim %q is %q; want %q", name, claim, text)
			}
		}
		if len(a.claims) > len(members) {
			t.Fatal("more claims than members")
		}
		client, _ := a.Claim("client_id")
		session, _ := a.Claim("sid")
		if a.Client() != client || a.Session() != session {
			t.Fatalf("client %q, session %q", a.Client(), a.Session())
		}
		_, dated := a.Claim("exp")
		if dated == a.Expires().IsZero() || dated && (a.Expires().Year() < 1970 || a.Expires().Year() > 9999) {
			t.Fatalf("exp is %v", a.Expires())
		}
	})
}

// knownText reports whether text is one of those that parse has.
func knownText(text string) bool {
	switch text {
	case "an answer that is not a strict JSON object", "an answer without a boolean member active",
		ErrInactive.Error(), inactive(errNotAccessToken).Error():
		return true
	}
	name, ok := strings.CutPrefix(text, `an answer with an invalid member "`)
	switch strings.TrimSuffix(name, `"`) {
	case "iss", "aud", "exp", "nbf", "iat", "jti", "username", "sub", "client_id", "sid":
		return ok
	}
	return false
}
