package caddymodule_test

import (
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// authorizationFields are requests whose credential is in a wrong form or place, twice,
// or not there. The tokens in them are genuine.
func (f *forge) authorizationFields() []attack {
	raw, other := f.genuine("HS256"), f.claims("jti", `"other"`, "sub", `"43"`)
	forged := assemble(`{"alg":"HS256"}`, f.payload(), f.by(jwt.SigningMethodHS256, []byte("attacker")))
	rows := make([]attack, 0, 80)
	field := func(namesAndValues ...string) {
		for i := 0; i < len(namesAndValues); i += 2 {
			rows = append(rows, attack{name: namesAndValues[i], lines: "Authorization: " + namesAndValues[i+1] + "\r\n"})
		}
	}
	field(
		"no scheme", raw,
		"only the scheme", "Bearer",
		"only the scheme and spaces", "Bearer    ",
		"Basic", "Basic a2V5OnNlY3JldA==",
		"Basic with the token", "Basic "+raw,
		"scheme Token", "Token "+raw,
		"scheme JWT", "JWT "+raw,
		"scheme DPoP", "DPoP "+raw,
		"scheme Bearer2", "Bearer2 "+raw,
		"scheme with a letter too few", "Beare "+raw,
		"scheme twice", "Bearer bearer "+raw,
		"scheme behind", raw+" Bearer",
		"no space", "Bearer"+raw,
		"colon", "Bearer: "+raw,
		"equals sign", "Bearer="+raw,
		"slash", "Bearer/"+raw,
		"tab", "Bearer\t"+raw,
		"space and tab", "Bearer \t"+raw,
		"tab and space", "Bearer\t "+raw,
		"vertical bar", "Bearer|"+raw,
		"quotes", `Bearer "`+raw+`"`,
		"single quotes", "Bearer '"+raw+"'",
		"angle brackets", "Bearer <"+raw+">",
		"as a parameter", "Bearer token="+raw,
		"with a realm", `Bearer realm="x", `+raw,
		"parameter behind", "Bearer "+raw+"; charset=utf-8",
		"comma behind", "Bearer "+raw+",",
		"comma before", ", Bearer "+raw,
		"list, good first", "Bearer "+raw+", Bearer "+forged,
		"list, good last", "Bearer "+forged+", Bearer "+raw,
		"list without spaces", "Bearer "+raw+","+other,
		"list of schemes", "Basic YTpi, Bearer "+raw,
		"list of the same", "Bearer "+raw+", Bearer "+raw,
		"two tokens and a space", "Bearer "+raw+" "+other,
		"two tokens and a semicolon", "Bearer "+raw+";"+other,
		"percent-encoded dots", "Bearer "+strings.ReplaceAll(raw, ".", "%2e"),
		"percent-encoded space", "Bearer%20"+raw,
		"percent-encoded line break", "Bearer "+raw+"%0d%0a",
		"encoded word", "=?utf-8?b?QmVhcmVy?= "+raw,
		"no-break space", "Bearer\u00a0"+raw,
		"em space", "Bearer\u2003"+raw,
		"byte order mark", "\ufeffBearer "+raw,
		"full-width scheme", "Ｂｅａｒｅｒ "+raw,
		"Cyrillic letter in the scheme", "Beаrer "+raw,
		"small capital in the scheme", "Bea\u0280er "+raw,
		"byte 0x80 in the token", "Bearer "+raw[:5]+"\x80"+raw[5:],
		"byte 0xA0 for the space", "Bearer\xa0"+raw,
		"folded within the token", "Bearer "+raw[:5]+"\r\n "+raw[5:],
		"folded behind the token", "Bearer "+raw+"\r\n x",
		"folded, two tokens", "Bearer "+raw+"\r\n\tBearer "+forged,
		"null", "Bearer null",
		"undefined", "Bearer undefined",
		"template", "Bearer {{token}}",
		"placeholder", "Bearer {env.HOME}",
		"JSON", `Bearer {"token":"`+raw+`"}`,
	)
	lines := func(namesAndLines ...string) {
		for i := 0; i < len(namesAndLines); i += 2 {
			rows = append(rows, attack{name: namesAndLines[i], lines: namesAndLines[i+1]})
		}
	}
	const name = "Authorization: "
	lines(
		"two fields, two genuine", name+"Bearer "+raw+"\r\n"+name+"Bearer "+other+"\r\n",
		"two fields, two genuine, the other way round", name+"Bearer "+other+"\r\n"+name+"Bearer "+raw+"\r\n",
		"two fields, forged first", name+"Bearer "+forged+"\r\n"+name+"Bearer "+raw+"\r\n",
		"two fields, forged last", name+"Bearer "+raw+"\r\n"+name+"Bearer "+forged+"\r\n",
		"two fields, Basic first", name+"Basic YTpi\r\n"+name+"Bearer "+raw+"\r\n",
		"two fields, Basic last", name+"Bearer "+raw+"\r\n"+name+"Basic YTpi\r\n",
		"two fields, empty first", name+"\r\n"+name+"Bearer "+raw+"\r\n",
		"two fields, empty last", name+"Bearer "+raw+"\r\n"+name+"\r\n",
		"two fields, names in two cases", "authorization: Bearer "+raw+"\r\nAUTHORIZATION: Bearer "+forged+"\r\n",
		"two fields, others between", name+"Bearer "+raw+"\r\nX-A: b\r\nX-C: d\r\n"+name+"Bearer "+other+"\r\n",
		"two fields, schemes in two cases", name+"bearer "+raw+"\r\n"+name+"BEARER "+other+"\r\n",
		"two fields, the second spelled otherwise", name+"Bearer "+raw+"\r\n"+name+"Bearer "+raw+"=\r\n",
		"three fields, the first twice", name+"Bearer "+raw+"\r\n"+name+"Bearer "+raw+"\r\n"+name+"Bearer "+other+"\r\n",
	)
	for what, line := range map[string]string{
		"empty field":                  name + "\r\n",
		"only spaces":                  name + "  \t \r\n",
		"folded empty field":           name + "\r\n \r\n",
		"two empty fields":             name + "\r\n" + name + "\r\n",
		"no field":                     "X-A: b\r\n",
		"folded into another field":    "X-A: b\r\n Authorization: Bearer " + raw + "\r\n",
		"Proxy-Authorization":          "Proxy-Authorization: Bearer " + raw + "\r\n",
		"X-Authorization":              "X-Authorization: Bearer " + raw + "\r\n",
		"X-Forwarded-Authorization":    "X-Forwarded-Authorization: Bearer " + raw + "\r\n",
		"HTTP_AUTHORIZATION":           "HTTP_AUTHORIZATION: Bearer " + raw + "\r\n",
		"X-API-Key":                    "X-API-Key: " + raw + "\r\n",
		"X-Access-Token":               "X-Access-Token: " + raw + "\r\n",
		"cookie":                       "Cookie: session=" + raw + "; access_token=" + raw + "; Authorization=" + raw + "\r\n",
		"WebSocket subprotocol":        "Sec-WebSocket-Protocol: bearer, " + raw + "\r\n",
		"X-User":                       "X-User: 42\r\nX-Forwarded-User: 42\r\nRemote-User: 42\r\n",
		"identity of a trusted source": "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n",
		"another path in a header":     "X-Original-URL: /auth/login\r\nX-Rewrite-URL: /auth/login\r\nX-HTTP-Method-Override: POST\r\n",
	} {
		rows = append(rows, attack{name: what, lines: line, want: bodyMissing})
	}
	form := "access_token=" + raw
	return append(rows,
		attack{name: "query", query: "?access_token=" + raw + "&Authorization=Bearer+" + raw, want: bodyMissing},
		attack{
			name: "form", lines: fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(form)),
			method: "POST", body: form, want: bodyMissing,
		},
		attack{
			name: "trailer", lines: "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n", method: "POST",
			body: "1\r\na\r\n0\r\nAuthorization: Bearer " + raw + "\r\n\r\n", want: bodyMissing,
		},
	)
}
