package introspect

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// What two parsers could read differently, or what a careless one could take for yes.
func TestActiveIsABooleanThatStandsAlone(t *testing.T) {
	for document, want := range map[string]error{
		`{"active":true}`:                        nil,
		" {\"active\" :\r\n\ttrue } ":            nil,
		`{"\u0061ctive":true}`:                   nil,
		`{"active":true,"Active":false}`:         nil, // names are exact
		`{"active":false}`:                       ErrInactive,
		`{"active":false,"Active":true}`:         ErrInactive,
		`{"Active":true}`:                        ErrUnavailable,
		`{"active ":true}`:                       ErrUnavailable,
		`{"active":"true"}`:                      ErrUnavailable,
		`{"active":"false"}`:                     ErrUnavailable,
		`{"active":1}`:                           ErrUnavailable,
		`{"active":0}`:                           ErrUnavailable,
		`{"active":null}`:                        ErrUnavailable,
		`{"active":[true]}`:                      ErrUnavailable,
		`{"active":{}}`:                          ErrUnavailable,
		`{"active":True}`:                        ErrUnavailable,
		`{}`:                                     ErrUnavailable,
		``:                                       ErrUnavailable,
		`true`:                                   ErrUnavailable,
		`[{"active":true}]`:                      ErrUnavailable,
		`{"active":true,"active":true}`:          ErrUnavailable,
		`{"active":true,"active":false}`:         ErrUnavailable,
		`{"active":false,"active":true}`:         ErrUnavailable,
		`{"active":true,"\u0061ctive":false}`:    ErrUnavailable,
		`{"active":true,"sub":"a","sub":"b"}`:    ErrUnavailable,
		`{"active":true,"x":{"y":1,"y":2}}`:      ErrUnavailable,
		`{"active":false,"x":{"y":1,"y":2}}`:     ErrUnavailable,
		`{"active":true}{"active":false}`:        ErrUnavailable,
		`{"active":true} x`:                      ErrUnavailable,
		"\ufeff" + `{"active":true}`:             ErrUnavailable,
		`{"active":true,}`:                       ErrUnavailable,
		`{'active':true}`:                        ErrUnavailable,
		`{"active":true/**/}`:                    ErrUnavailable,
		"{\"active\":true,\"sub\":\"\xff\"}":     ErrUnavailable,
		`{"active":true,"sub":"\ud800"}`:         ErrUnavailable,
		`{"active":true,"x":` + nested(31) + `}`: nil,
		`{"active":true,"x":` + nested(32) + `}`: ErrUnavailable,
	} {
		expect(t, open(t, newAuthority(says(document)), Options{}), document, opaque, want)
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestAnswerSaysWhetherATokenIsBoundToItsSender(t *testing.T) {
	for members, want := range map[string]bool{
		`"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},"token_type":"DPoP"`: true,
		`"cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`:                true,
		`"cnf":{}`:              true,
		`"token_type":"dpop"`:   true,
		`"cnf":null`:            false,
		`"token_type":"Bearer"`: false,
		`"token_type":7`:        false,
		`"x":{"cnf":{}}`:        false,
		`"events":["concert"]`:  false,
	} {
		a, err := parse([]byte(`{"active":true,`+members+`}`), "sub", "sid")
		if err != nil || a.SenderConstrained() != want {
			t.Errorf("%s: %v, %v", members, a, err)
		}
	}
	if _, err := parse([]byte(`{"active":true,"events":{"urn:example:event":{}}}`), "sub", "sid"); !errors.Is(err, ErrInactive) {
		t.Errorf("a security event token: %v", err)
	}
}

// A member of the wrong type is not taken for absent: the server is broken.
func TestMistypedMembersAreNoAnswer(t *testing.T) {
	good := map[string][]string{
		"exp":       {`9999999999`, `253402300799.5`, `1e10`, `null`},
		"iat":       {`1`, `0.000001`, `1768478399.123`, `null`},
		"nbf":       {`1`, `0`, `-0`, `-1`, `null`},
		"iss":       {`"x"`, `""`, `null`},
		"aud":       {`"x"`, `[]`, `["x","y"]`, `null`},
		"sub":       {`"x"`, `42`, `-7`, `0`, `123456789012345678901234567890`, `null`},
		"sid":       {`"x"`, `42`, `null`},
		"client_id": {`"x"`, `42`, `null`},
		"jti":       {`"x"`, `null`},
		"username":  {`"x"`, `""`, `null`},
		"scope":     {`"x"`, `["x"]`, `1`, `null`},
		"x.client":  {`"x"`, `42`, `null`},
		"x.session": {`"x"`, `42`, `null`},
	}
	start := []string{`"9999999999"`, `"2030-01-01T00:00:00Z"`, `253402300800`, `1e400`, `true`, `[1]`, `{}`, `""`}
	date := append([]string{`0`, `-0`, `-1`}, start...)
	named := []string{`""`, `1.0`, `1e3`, `-0`, `true`, `["x"]`, `{}`}
	bad := map[string][]string{
		"exp": date, "iat": date, "nbf": start,
		"iss":       {`1`, `true`, `["x"]`, `{}`},
		"aud":       {`1`, `true`, `["x",1]`, `[["x"]]`, `[null]`, `{"x":"x"}`},
		"jti":       {`""`, `1`, `true`, `["x"]`, `{}`},
		"username":  {`1`, `true`, `["x"]`, `{}`},
		"sub":       named,
		"sid":       named,
		"client_id": named,
		"x.client":  named,
		"x.session": named,
	}
	for name, values := range good {
		for _, value := range values {
			if _, err := parse([]byte(`{"`+name+`":`+value+`,"active":true}`), "x.client", "x.session"); err != nil {
				t.Errorf("%s %s: %v", name, value, err)
			}
		}
	}
	for name, values := range bad {
		for _, value := range values {
			_, err := parse([]byte(`{"`+name+`":`+value+`,"active":true}`), "x.client", "x.session")
			if want := `an answer with an invalid member "` + name + `"`; err == nil || err.Error() != want {
				t.Errorf("%s %s: %v", name, value, err)
			}
			// The server's no needs no more than that.
			_, err = parse([]byte(`{"`+name+`":`+value+`,"active":false}`), "x.client", "x.session")
			if !errors.Is(err, ErrInactive) {
				t.Errorf("%s %s, not active: %v", name, value, err)
			}
		}
	}
}

func TestDatesAreExactToTheMicrosecond(t *testing.T) {
	for text, want := range map[string]time.Time{
		"1768478400":        time.Unix(1768478400, 0),
		"1768478400.25":     time.Unix(1768478400, 250e6),
		"1.7684784e9":       time.Unix(1768478400, 0),
		"253402300799":      time.Unix(253402300799, 0),
		"1.0000019":         time.Unix(1, 1000),
		"0.5":               time.Unix(0, 500e6),
		"4102444800.000001": time.Unix(4102444800, 1000),
	} {
		a, err := parse([]byte(`{"active":true,"exp":`+text+`}`), "", "")
		if err != nil || !a.Expires().Equal(want) {
			t.Errorf("%s: %v, %v", text, a.Expires(), err)
		}
	}
}
