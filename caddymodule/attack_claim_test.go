package caddymodule_test

import (
	"strings"
	"time"
)

// claimTypes are genuine signatures over claims of a wrong type, twice or missing.
func (f *forge) claimTypes() []attack {
	var rows []attack
	for name, values := range map[string][]string{
		"sub": {`""`, `null`, `true`, `{}`, `{"id":"42"}`, `["42"]`, `4.2e1`, `42.0`, `-0`, `042`, `0x2a`},
		"jti": {`""`, `null`, `true`, `1`, `["victim"]`, `{}`},
		"sid": {`""`, `null`, `false`, `["s"]`, `{}`, `1.5`},
		"iss": {`null`, `1`, `["https://a.example"]`, `{}`},
		"aud": {`null`, `1`, `{}`, `[1]`, `["api",1]`, `[["api"]]`, `[null]`},
	} {
		for _, value := range values {
			rows = append(rows, attack{name: name + " " + value, token: f.claims(name, value)})
		}
	}
	never := []string{`0`, `-0`, `0.0`, `-1`, `1e-400`, `-` + f.after(0)}
	number := []string{
		`1e400`, `-1e400`, `1e300`, `253402300800`, `18446744073709551616`, `NaN`, `Infinity`, `+1`, `01`,
		`0xffffffff`, `1_000`, `.5`, `null`, `true`, `""`, `"tomorrow"`, `[]`, `{}`, `{"$date":1}`,
	}
	for name, good := range map[string]string{"exp": f.after(time.Hour), "nbf": f.after(-time.Hour), "iat": f.after(-time.Hour)} {
		values := append([]string{`"` + good + `"`, `[` + good + `]`, good + `000`, good + ` 1`}, number...)
		if name != "nbf" { // which may lie in whatever past
			values = append(values, never...)
		}
		for _, value := range values {
			rows = append(rows, attack{name: name + " " + value, token: f.claims(name, value)})
		}
	}
	front := func(member string) string { return f.signed("{" + member + "," + strings.TrimPrefix(f.payload(), "{")) }
	return append(rows, tokens(
		"exp twice, passed first", front(`"exp":1`),
		"exp twice, later first", front(`"exp":`+f.after(24*time.Hour)),
		"iat twice", front(`"iat":`+f.after(-time.Second)),
		"sub twice", front(`"sub":"43"`),
		"sub twice, the same", front(`"sub":"42"`),
		"sub twice, the other escaped", front(`"\u0073ub":"43"`),
		"jti twice", front(`"jti":"another"`),
		"nbf twice", f.signed(`{"nbf":1,"nbf":2,`+strings.TrimPrefix(f.payload(), "{")),
		"an unknown claim twice", f.signed(`{"x":1,"x":2,`+strings.TrimPrefix(f.payload(), "{")),
		"an empty name twice", f.signed(`{"":1,"":2,`+strings.TrimPrefix(f.payload(), "{")),
		"no sub", f.claims("sub", ""),
		"SUB for sub", f.claims("sub", "", "SUB", `"42"`),
		"Sub for sub", f.claims("sub", "", "Sub", `"42"`),
		"sub with a space", f.claims("sub", "", "sub ", `"42"`),
		"sub with a NUL", f.claims("sub", "", `sub\u0000`, `"42"`),
		"sub in another object", f.claims("sub", "", "claims", `{"sub":"42"}`),
		"no iat", f.claims("iat", ""),
		"IAT for iat", f.claims("iat", "", "IAT", f.after(-time.Minute)),
		"no claims", f.signed(`{}`),
	)...)
}

// claimTimes are genuine signatures of another time. A client is told that its token has
// expired only if nothing else is wrong with what the token says.
func (f *forge) claimTimes() []attack {
	past, old := f.after(-time.Hour), f.after(-8*24*time.Hour)
	expired := []attack{
		{name: "expired", token: f.claims("exp", f.after(-time.Minute))},
		{name: "expired, with a fraction", token: f.claims("exp", f.after(-time.Minute)+".999")},
		{name: "expired, with an exponent", token: f.claims("exp", "1e9")},
		{name: "expired in 1970", token: f.claims("exp", "1")},
		{name: "expired before it was issued", token: f.claims("exp", f.after(-2*time.Hour), "iat", past)},
		{name: "expired and old", token: f.claims("exp", f.after(-time.Minute), "iat", old)},
		// Whose it is may be known from its issue, of which an expired token is not asked.
		{name: "expired, without client", token: f.claims("exp", past, "sub", "")},
		{name: "expired, RS256", token: assemble(`{"alg":"RS256"}`, f.payload("exp", past), f.signerOf("RS256"))},
	}
	for i := range expired {
		expired[i].want = bodyExpired
	}
	return append(expired, tokens(
		"nbf in an hour", f.claims("nbf", f.after(time.Hour)),
		"nbf at the end of time", f.claims("nbf", "253402300799"),
		"iat in a minute", f.claims("iat", f.after(time.Minute)),
		"iat in an hour", f.claims("iat", f.after(time.Hour), "exp", f.after(2*time.Hour)),
		"iat at the end of time", f.claims("iat", "253402300799"),
		"iat eight days ago", f.claims("iat", old),
		"iat in 1970", f.claims("iat", "0.1"),
		"expired, and nbf in an hour", f.claims("exp", past, "nbf", f.after(time.Hour)),
		"expired, and iat in an hour", f.claims("exp", past, "iat", f.after(time.Hour)),
		"expired, of another type", assemble(`{"alg":"HS256","typ":"logout+jwt"}`, f.payload("exp", past), f.hmac()),
		"expired, unsecured", encode(`{"alg":"none"}`)+"."+encode(f.payload("exp", past))+".",
		"expired, forged", assemble(`{"alg":"ES256"}`, f.payload("exp", past), f.signerOf("RS256")),
	)...)
}

// pinned are genuine tokens of another issuer or for another audience than
// https://a.example and api.
func (f *forge) pinned() []attack {
	const iss = `"https://a.example"`
	var rows []attack
	for _, value := range []string{
		"", `""`, `"https://a.example/"`, `"https://A.example"`, `"https://a.example "`, `"https://a.example.attacker.example"`, `"https://a.exampl"`,
		`"http://a.example"`, `["https://a.example"]`, `"https://a.example\u0000"`, `"https:\/\/b.example"`,
	} {
		rows = append(rows, attack{name: "iss " + value, token: f.claims("iss", value, "aud", `"api"`)})
	}
	for _, value := range []string{
		"", `""`, `[]`, `"API"`, `"api "`, `"api,web"`, `"web api"`, `"ap"`, `["web","API"]`, `[""]`, `[["api"]]`, `{"api":"api"}`, `["api",null]`, `"*"`,
	} {
		rows = append(rows, attack{name: "aud " + value, token: f.claims("iss", iss, "aud", value)})
	}
	return append(rows, tokens(
		"ISS", f.claims("ISS", iss, "aud", `"api"`),
		"AUD", f.claims("iss", iss, "AUD", `"api"`),
		"iss twice", f.signed(`{"iss":"https://b.example",`+strings.TrimPrefix(f.payload("iss", iss, "aud", `"api"`), "{")),
		"aud twice", f.signed(`{"aud":"web",`+strings.TrimPrefix(f.payload("iss", iss, "aud", `"api"`), "{")),
		"expired, of another issuer", f.claims("iss", `"https://b.example"`, "aud", `"api"`, "exp", "1"),
		"expired, for another audience", f.claims("iss", iss, "aud", `"web"`, "exp", "1"),
		"the kid of the issuer", assemble(`{"alg":"HS256","kid":"https://a.example"}`, f.payload("aud", `"api"`), f.hmac()),
	)...)
}
