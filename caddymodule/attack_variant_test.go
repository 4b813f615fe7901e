package caddymodule_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// decodeSignature returns the signature of a token and what stands before it.
func (f *forge) decodeSignature(raw string) (string, []byte) {
	f.t.Helper()
	cut := strings.LastIndexByte(raw, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(raw[cut:])
	if err != nil {
		f.t.Fatal(err)
	}
	return raw[:cut], signature
}

// variants returns other spellings of a token that can be made without its key. A lax
// reader takes all of them for the token itself.
func (f *forge) variants(alg, raw string) []attack {
	var rows []attack
	parts := strings.Split(raw, ".")
	put := func(what string, i int, segment string) {
		changed := slices.Clone(parts)
		changed[i] = segment
		rows = append(rows, attack{name: what + ", " + []string{"header", "payload", "signature"}[i], token: strings.Join(changed, ".")})
	}
	for i, segment := range parts {
		for n, other := range respellings(segment) {
			put(fmt.Sprintf("unused bits %d", n+1), i, other)
		}
		for what, text := range map[string]string{"CR": "\r", "LF": "\n", "CR LF": "\r\n", "space": " ", "tab": "\t", "folded line": "\r\n "} {
			for at := range 3 {
				put(fmt.Sprintf("%s at %d", what, at), i, insert(text, at)(segment))
			}
		}
		for n := 1; n <= 3; n++ {
			put(fmt.Sprintf("%d padding characters", n), i, segment+strings.Repeat("=", n))
		}
		if standard := strings.NewReplacer("-", "+", "_", "/").Replace(segment); standard != segment {
			put("standard alphabet", i, standard)
		}
		put("NUL at the end", i, segment+"\x00")
		put("zero-width space", i, insert("\u200b", 1)(segment))
	}
	rows = append(rows, tokens(
		"dot behind", raw+".",
		"dot before", "."+raw,
		"comma behind", raw+",",
		"semicolon behind", raw+";",
		"percent-encoded dots", strings.ReplaceAll(raw, ".", "%2E"),
		"percent-encoded letter", "%65"+raw[1:],
		"with its scheme", "Bearer "+raw,
		"in quotes", `"`+raw+`"`,
		"byte order mark", "\ufeff"+raw,
		"flattened JSON", `{"protected":"`+parts[0]+`","payload":"`+parts[1]+`","signature":"`+parts[2]+`"}`,
	)...)
	input, signature := f.decodeSignature(raw)
	switch alg {
	case "ES256":
		rows = append(rows, attack{name: "(r, n-s)", token: f.secondSpelling(raw)})
	case "EdDSA":
		rows = append(rows, attack{name: "order added", token: input + encode(plusEdwardsOrder(signature))})
	case "RS256", "PS256":
		rows = append(rows,
			attack{name: "modulus added", token: input + encode(plusModulus(signature, f.own.rsa.N))},
			attack{name: "zero before", token: input + encode(append([]byte{0}, signature...))})
	}
	return rows
}

// secondSpelling returns an ES256 token with (r, n-s) in place of its (r, s): an equally
// good signature, which golang-jwt accepts.
func (f *forge) secondSpelling(raw string) string {
	f.t.Helper()
	input, signature := f.decodeSignature(raw)
	second := negated(signature)
	sum := sha256.Sum256([]byte(strings.TrimSuffix(input, ".")))
	if !ecdsa.Verify(&f.own.ec.PublicKey, sum[:], new(big.Int).SetBytes(second[:32]), new(big.Int).SetBytes(second[32:])) {
		f.t.Fatal("(r, n-s) is not a signature")
	}
	return input + encode(second)
}

// carriages are requests that carry one and the same token in other words.
func carriages(raw string) []attack {
	var everyByte strings.Builder
	for i := range len(raw) {
		fmt.Fprintf(&everyByte, "%%%02x", raw[i])
	}
	rows := []attack{
		{name: "parameter, every byte encoded", query: "?access_token=" + everyByte.String()},
		{name: "parameter with an escaped name", query: "?%61ccess%5ftoken=" + raw},
		{name: "parameter twice", query: "?access_token=" + raw + "&access_token=" + raw},
	}
	for name, lines := range map[string]string{
		"scheme in lower case":         "Authorization: bearer " + raw,
		"scheme in capitals":           "Authorization: BEARER " + raw,
		"scheme in both":               "Authorization: bEaReR " + raw,
		"several spaces":               "Authorization: Bearer      " + raw,
		"spaces around":                "Authorization:  \t Bearer " + raw + " \t ",
		"no space before the scheme":   "Authorization:Bearer " + raw,
		"name in lower case":           "authorization: Bearer " + raw,
		"name in capitals":             "AUTHORIZATION: Bearer " + raw,
		"folded behind the scheme":     "Authorization: Bearer\r\n " + raw,
		"folded before the scheme":     "Authorization:\r\n\tBearer " + raw,
		"the same field twice":         "Authorization: Bearer " + raw + "\r\nAuthorization: bearer  " + raw,
		"a line that ends with LF":     "X-A: b\nAuthorization: Bearer " + raw + "\nX-C: d",
		"cookie in quotes":             `Cookie: session="` + raw + `"`,
		"cookie with spaces":           "Cookie: a=b; session = " + raw + " ; c=d",
		"cookie twice":                 "Cookie: session=" + raw + "; session=" + raw,
		"two cookie fields":            "Cookie: a=b\r\nCookie: session=" + raw,
		"every place":                  "Authorization: Bearer " + raw + "\r\nCookie: session=" + raw,
		"with a name of another field": "X-Forwarded-Authorization: x\r\nAuthorization: Bearer " + raw,
	} {
		rows = append(rows, attack{name: name, lines: lines + "\r\n"})
	}
	return rows
}

// lookAlikes are requests that carry a token under a name that some upstream may take for
// the one where a token may be.
func lookAlikes(raw string) []attack {
	rows := make([]attack, 0, 32)
	for _, name := range []string{
		"ACCESS_TOKEN", "access_token[]", "access_token[0]", "access_token[a]", "[access_token]", "access[token", "access.token",
		"access_token%00", "access_token%00x", "access_token.", "+access_token", "access-token", "accessToken", "acce%C5%BFs_token",
		"access_to%E2%84%AAen", "%EF%BD%81ccess_token", "access%2574oken",
	} {
		rows = append(rows, attack{name: "parameter " + name, query: "?" + name + "=" + raw})
	}
	for _, cookie := range []string{
		"SESSION=", "%73ession=", "a=b, session=", "a=b session=", "a=b\tsession=", "=session=", "a=session=", `a="b"session=`,
		"session[]=", "session[a]=", "[session]=", "a=b\xa0session=", "ses\xc5\xbfion=",
	} {
		rows = append(rows, attack{name: "cookie " + cookie, lines: "Cookie: " + cookie + raw + "\r\n"})
	}
	return rows
}
