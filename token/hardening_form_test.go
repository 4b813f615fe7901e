package token

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

func TestOtherSpellingsOfATokenAreRefused(t *testing.T) {
	v := verifier(t, Config{})
	header, payload := `{"alg":"HS256"}`, good(`"sub":"a",`)
	for len(header)%3 != 1 {
		header = strings.Replace(header, "}", " }", 1) // so that every part has unused bits
	}
	for len(payload)%3 != 1 {
		payload += " "
	}
	token := raw(header, payload, withHMAC(secret))
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	join := func(h, p, s string) string { return h + "." + p + "." + s }
	// resigned gives other spellings of header and payload a genuine signature, so that
	// nothing but the spelling is wrong.
	resigned := func(h, p string) string { return join(h, p, encode(withHMAC(secret)(h+"."+p))) }
	for i, name := range []string{"header", "payload", "signature"} {
		spell := func(change func(string) string) string {
			changed := append([]string(nil), parts...)
			changed[i] = change(changed[i])
			if i < 2 {
				return resigned(changed[0], changed[1])
			}
			return strings.Join(changed, ".")
		}
		for what, change := range map[string]func(string) string{
			"padding":         func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) },
			"line feed":       func(s string) string { return s[:4] + "\n" + s[4:] },
			"CR LF":           func(s string) string { return s[:4] + "\r\n" + s[4:] },
			"CR at the end":   func(s string) string { return s + "\r" },
			"LF at the start": func(s string) string { return "\n" + s },
			"space":           func(s string) string { return s[:4] + " " + s[4:] },
			"tab at the end":  func(s string) string { return s + "\t" },
			"NUL":             func(s string) string { return s + "\x00" },
			"plus":            func(s string) string { return "+" + s[1:] },
			"slash":           func(s string) string { return "/" + s[1:] },
			"UTF-8":           func(s string) string { return s + "é" },
			"one more letter": func(s string) string { return s + strings.Repeat("A", 5-len(s)%4) },
			"unused bits":     func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]+1) },
		} {
			refused(t, v, what+" in the "+name, spell(change), ErrMalformed)
		}
	}
}

func TestOtherSerialisationsAreRefused(t *testing.T) {
	v := verifier(t, Config{})
	token := hs256(good(""))
	parts := strings.Split(token, ".")
	flattened := string(must(json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})))
	for name, token := range map[string]string{
		"a dot behind":       token + ".",
		"a dot before":       "." + token,
		"four parts":         token + ".AAAA",
		"five parts":         token + ".AAAA.AAAA",
		"two parts":          parts[0] + "." + parts[1],
		"one part":           parts[0],
		"dots only":          "..",
		"one dot":            ".",
		"no header":          "." + parts[1] + "." + parts[2],
		"no payload":         parts[0] + ".." + parts[2],
		"space before":       " " + token,
		"line break behind":  token + "\n",
		"two tokens":         token + "," + token,
		"with its scheme":    "Bearer " + token,
		"JSON, flattened":    flattened,
		"JSON, general":      `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"detached":           parts[0] + ".." + parts[2],
		"byte order mark":    "\ufeff" + token,
		"opaque":             "1554897600000.1a2b3c.aGVsbG8",
		"header is not JSON": encode("alg") + "." + parts[1] + "." + parts[2],
	} {
		refused(t, v, name, token, ErrMalformed)
	}
	refused(t, v, "empty", "", ErrMissing)
}

func TestSizeIsLimited(t *testing.T) {
	filled := func(n int) string { // a genuine token of n bytes, or a few less
		frame := len(hs256(good(`"x":"",`)))
		return hs256(good(`"x":"` + strings.Repeat("x", (n-frame)*3/4-2) + `",`))
	}
	v := verifier(t, Config{})
	if _, err := v.Verify(t.Context(), filled(DefaultMaxLength)); err != nil {
		t.Error(err)
	}
	refused(t, v, "too long", filled(DefaultMaxLength+8), ErrTooLarge)
	refused(t, v, "too long is malformed", filled(DefaultMaxLength+8), ErrMalformed)
	refused(t, v, "long rubbish", strings.Repeat(".", 1<<20), ErrTooLarge)

	exact := hs256(good(""))
	if _, err := verifier(t, Config{MaxLength: len(exact)}).Verify(t.Context(), exact); err != nil {
		t.Error(err)
	}
	refused(t, verifier(t, Config{MaxLength: len(exact) - 1}), "one byte too long", exact, ErrTooLarge)
}

func TestPayloadMustBeOneStrictObject(t *testing.T) {
	v := verifier(t, Config{})
	for name, payload := range map[string]string{
		"null":                   `null`,
		"array":                  `[]`,
		"array of an object":     `[{"sub":"a"}]`,
		"string":                 `"sub"`,
		"number":                 `1`,
		"true":                   `true`,
		"two objects":            `{"sub":"a"}{"sub":"b"}`,
		"text behind":            `{"sub":"a"} x`,
		"not closed":             `{"sub":"a"`,
		"closed twice":           `{"sub":"a"}}`,
		"comma at the end":       `{"sub":"a",}`,
		"comment":                `{"sub":"a"/* */}`,
		"single quotes":          `{'sub':'a'}`,
		"byte order mark":        "\ufeff{}",
		"NUL behind":             "{}\x00",
		"white space only":       ` `,
		"duplicate exp":          `{"exp":1,"exp":1768478500}`,
		"duplicate, the same":    `{"sub":"a","sub":"a"}`,
		"duplicate by escape":    `{"sub":"a","s\u0075b":"b"}`,
		"duplicate unknown":      `{"x":1,"x":2}`,
		"duplicate nested":       `{"x":{"a":1,"a":2}}`,
		"duplicate in an array":  `{"x":[[{"a":1,"a":2}]]}`,
		"duplicate empty name":   `{"":1,"":2}`,
		"invalid UTF-8":          "{\"sub\":\"a\xff\"}",
		"invalid UTF-8 name":     "{\"\xff\":1}",
		"invalid UTF-8 nested":   "{\"x\":[\"\xc0\x80\"]}",
		"encoded surrogate":      "{\"x\":\"\xed\xa0\x80\"}",
		"half a surrogate":       `{"x":"\ud800"}`,
		"line break in a string": "{\"x\":\"a\nb\"}",
		"unknown escape":         `{"x":"\x41"}`,
		"deep array":             `{"x":` + strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth) + `}`,
		"deep object":            strings.Repeat(`{"x":`, strictjson.MaxDepth+1) + "1" + strings.Repeat("}", strictjson.MaxDepth+1),
		"deep, quoted quotes":    `{"y":"\"","x":` + strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth) + `}`,
		"deep and not closed":    strings.Repeat("[", 2000),
	} {
		refused(t, v, name, hs256(payload), ErrMalformed)
	}
	for name, payload := range map[string]string{
		"empty object":       `{}`,
		"white space":        " {\n\t\"sub\" : \"a\" }\r\n",
		"as deep as allowed": `{"x":` + strings.Repeat("[", strictjson.MaxDepth-1) + strings.Repeat("]", strictjson.MaxDepth-1) + `}`,
		"brackets in text":   `{"x":"` + strings.Repeat("[{", 100) + `\"` + strings.Repeat("[", 100) + `"}`,
		"great numbers":      `{"x":1e999999,"y":-` + strings.Repeat("9", 2000) + `}`,
		"case of names":      `{"sub":"a","Sub":"b","SUB":{"c":1}}`,
	} {
		if _, err := v.Verify(t.Context(), hs256(payload)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeaderMustBeOneStrictObject(t *testing.T) {
	v := everyKey(t)
	for _, header := range []string{
		`null`, `[]`, `["alg"]`, `"HS256"`, `1`, `{"alg":"HS256"} {}`, `{"alg":"HS256"`, `{"alg":"HS256",}`, "\ufeff" + `{"alg":"HS256"}`,
		`{"alg":"HS256","alg":"HS256"}`, `{"typ":"JWT","alg":"HS256","typ":"at+jwt"}`, `{"alg":"HS256","\u0061lg":"none"}`,
		`{"alg":"HS256","x":{"a":1,"a":1}}`, "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
		`{"alg":"HS256","x":` + strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth) + `}`,
		`{"alg":"HS256","x":1e400}`, // no double: golang-jwt would not read it
	} {
		refused(t, v, header, raw(header, good(""), withHMAC(secret)), ErrMalformed)
	}
	// golang-jwt takes the last of two, others take the first.
	refused(t, v, "none, then HS256", raw(`{"alg":"none","alg":"HS256"}`, good(""), withHMAC(secret)), ErrMalformed)
}

func TestKeyOrderIsFree(t *testing.T) {
	v := verifier(t, Config{})
	a := must(v.Verify(t.Context(), raw(`{"alg":"HS256","typ":"JWT"}`, `{"sub":"a","iat":1,"jti":"t"}`, withHMAC(secret))))
	b := must(v.Verify(t.Context(), raw(`{ "typ":"JWT", "alg":"HS256" }`, `{"jti":"t","iat":1,"sub":"a"}`, withHMAC(secret))))
	if *a.Identity() != *b.Identity() {
		t.Error("the order of claims changes the identity")
	}
}
