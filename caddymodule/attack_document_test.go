package caddymodule_test

import (
	"strings"
)

// typed returns a genuine token with this typ.
func (f *forge) typed(typ string) string {
	return assemble(`{"alg":"HS256","typ":`+typ+`}`, f.payload(), f.hmac())
}

// headers are genuine signatures under a header that asks for something else.
func (f *forge) headers() []attack {
	var rows []attack
	for _, typ := range []string{
		`"logout+jwt"`, `"dpop+jwt"`, `"secevent+jwt"`, `"refresh+jwt"`, `"application/application/jwt"`, `"JOSE"`, `"JOSE+JSON"`, `"JWE"`,
		`"jwt "`, `""`, `1`, `null`, `["JWT"]`, `{"JWT":1}`,
	} {
		rows = append(rows, attack{name: "typ " + typ, token: f.typed(typ)})
	}
	for _, parameters := range []string{
		`"crit":["exp"],"exp":1`, `"crit":["b64"],"b64":false`, `"crit":[]`, `"crit":null`, `"crit":"exp"`, `"crit":["x"],"x":1`,
		`"b64":false`, `"b64":true`, `"zip":"DEF"`, `"enc":"A128GCM"`, `"enc":null`, `"cty":"JWT"`, `"cty":"application/jwt"`, `"cty":1`,
		`"kid":1`, `"kid":null`, `"kid":["k"]`, `"kid":{"k":1}`, `"kid":"a","kid":"b"`, `"typ":"JWT","typ":"logout+jwt"`,
		`"alg":"HS256"`, `"alg":"none"`, `"\u0061lg":"none"`, `"x":{"a":1,"a":2}`, `"x":1e400`,
		`"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500),
	} {
		rows = append(rows, attack{
			name:  "header with " + parameters[:min(len(parameters), 40)],
			token: assemble(`{"alg":"HS256",`+parameters+`}`, f.payload(), f.hmac()),
		})
	}
	return append(rows, attack{name: "alg none, then HS256", token: assemble(`{"alg":"none","alg":"HS256"}`, f.payload(), f.hmac())},
		attack{name: "unencoded payload", token: encode(`{"alg":"HS256","b64":false,"crit":["b64"]}`) + "." + f.payload() + "." +
			encode(f.hmac()(encode(`{"alg":"HS256","b64":false,"crit":["b64"]}`)+"."+f.payload()))})
}

// nested returns a genuine token with a claim of this depth.
func (f *forge) nested(depth int) string {
	return f.claims("x", strings.Repeat("[", depth)+strings.Repeat("]", depth))
}

// documents are genuine signatures over what two parsers could read in two ways.
func (f *forge) documents() []attack {
	good := f.payload()
	var rows []attack
	for name, text := range map[string]string{
		"null":                 `null`,
		"array":                `[` + good + `]`,
		"string":               `"sub"`,
		"number":               `1`,
		"two objects":          good + good,
		"text behind":          good + "x",
		"not closed":           strings.TrimSuffix(good, "}"),
		"comma at the end":     strings.TrimSuffix(good, "}") + ",}",
		"comment":              strings.TrimSuffix(good, "}") + "/* */}",
		"single quotes":        strings.ReplaceAll(good, `"`, `'`),
		"byte order mark":      "\ufeff" + good,
		"NUL behind":           good + "\x00",
		"NUL before":           "\x00" + good,
		"UTF-16":               strings.Join(strings.Split(good, ""), "\x00") + "\x00",
		"invalid UTF-8":        f.payload("x", "\"\xff\""),
		"overlong UTF-8":       f.payload("x", "\"\xc0\x80\""),
		"half a surrogate":     f.payload("x", `"\ud800"`),
		"line break in text":   f.payload("x", "\"a\nb\""),
		"invalid UTF-8 name":   f.payload("\xff", "1"),
		"deep arrays":          f.payload("x", strings.Repeat("[", 1000)+strings.Repeat("]", 1000)),
		"deep objects":         f.payload("x", strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 500)),
		"deep, not closed":     strings.Repeat("[", 5000),
		"duplicate in a claim": f.payload("x", `{"a":1,"a":2}`),
	} {
		rows = append(rows, attack{name: "payload: " + name, token: f.signed(text)})
	}
	for name, text := range map[string]string{
		"null": `null`, "array": `["alg"]`, "string": `"HS256"`, "text behind": `{"alg":"HS256"} {}`, "byte order mark": "\ufeff" + `{"alg":"HS256"}`,
		"NUL behind": `{"alg":"HS256"}` + "\x00", "not JSON": "alg=HS256", "invalid UTF-8": "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
	} {
		rows = append(rows, attack{name: "header: " + name, token: assemble(text, good, f.hmac())})
	}
	return rows
}
