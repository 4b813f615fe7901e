package opaque_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"example.com/caddy-token-auth/token/opaque"
)

// randomTokens are the shapes in which APIs make opaque tokens, by name.
func randomTokens() map[string]func(*rand.ChaCha8) string {
	random := func(r *rand.ChaCha8, n int) []byte {
		b := make([]byte, n)
		_, _ = r.Read(b) // never fails
		return b
	}
	url := base64.RawURLEncoding.EncodeToString
	return map[string]func(*rand.ChaCha8) string{
		"hexadecimal":         func(r *rand.ChaCha8) string { return hex.EncodeToString(random(r, 32)) },
		"hexadecimal, capped": func(r *rand.ChaCha8) string { return strings.ToUpper(hex.EncodeToString(random(r, 16))) },
		"UUID": func(r *rand.ChaCha8) string {
			b := hex.EncodeToString(random(r, 16))
			return b[:8] + "-" + b[8:12] + "-4" + b[13:16] + "-a" + b[17:20] + "-" + b[20:]
		},
		"base64url": func(r *rand.ChaCha8) string { return url(random(r, 32)) },
		"base64":    func(r *rand.ChaCha8) string { return base64.StdEncoding.EncodeToString(random(r, 32)) },
		"short":     func(r *rand.ChaCha8) string { return url(random(r, 9)) },
		"Deribit": func(r *rand.ChaCha8) string {
			return fmt.Sprint(1554817622000+r.Uint64()%1e12, ".", url(random(r, 6)), ".", url(random(r, 48)))
		},
		"key and secret": func(r *rand.ChaCha8) string { return url(random(r, 32)) + "." + url(random(r, 32)) },
		"hexadecimal, dotted": func(r *rand.ChaCha8) string {
			return hex.EncodeToString(random(r, 16)) + "." + hex.EncodeToString(random(r, 32))
		},
		"three parts": func(r *rand.ChaCha8) string {
			return url(random(r, 6)) + "." + url(random(r, 16)) + "." + url(random(r, 32))
		},
		"with a prefix": func(r *rand.ChaCha8) string { return "ory_at_" + url(random(r, 32)) + "." + url(random(r, 32)) },
		"with tildes": func(r *rand.ChaCha8) string {
			return url(random(r, 16)) + "~" + url(random(r, 16)) + "." + url(random(r, 16))
		},
	}
}

func TestNoRandomTokenResemblesAJWT(t *testing.T) {
	n := newNamer(t, secret)
	for shape, token := range randomTokens() {
		r := rand.NewChaCha8([32]byte{1})
		for i := range 100_000 {
			raw := token(r)
			if opaque.ResemblesJWT(raw) {
				t.Fatalf("%s: %s", shape, raw)
			}
			if i%50 > 0 {
				continue // a digest each takes long with the race detector
			}
			if _, err := n.Name(raw); err != nil {
				t.Fatalf("%s: %s has no name: %v", shape, raw, err)
			}
		}
	}
}

// Each is what some parser takes for a JWT: because it looks for one in the text, because it
// skips what it does not know, or because it reads what is no JSON.
func TestWhatSomeParserTakesForAJWTIsNeverOpaque(t *testing.T) {
	head, payload := segment(`{"alg":"HS256","typ":"JWT"}`), segment(`{"sub":"42"}`)
	signed := head + "." + payload + ".c2ln"
	wide := func(text string) string { return strings.Join(strings.Split(text, ""), "\x00") + "\x00" }
	for what, raw := range map[string]string{
		"as it should be":              signed,
		"unsigned":                     head + "." + payload + ".",
		"without the last dot":         head + "." + payload,
		"header alone":                 head,
		"empty part in front":          "." + signed, // java.util.StringTokenizer
		"empty parts between":          head + ".." + payload + "..c2ln",
		"more parts":                   signed + "." + signed,
		"SD-JWT":                       signed + "~WyJzYWx0IiwiYSIsImIiXQ~",
		"behind a tilde":               "x~" + signed, // [\w-]+\.[\w-]+\.[\w-]*
		"behind a letter":              "x" + signed,  // eyJ[\w-]+\.…
		"behind two letters":           "xy" + signed,
		"behind three letters":         "xyz" + signed,
		"behind a part":                "x." + signed,
		"behind tildes":                "~~" + signed,
		"padded":                       head + "=." + payload + "=.c2ln",
		"a tilde within":               head[:5] + "~" + head[5:] + "." + payload + ".c2ln",
		"a letter over":                head + "A." + payload + ".c2ln",
		"text behind the header":       segment(`{"alg":"HS256"} and more`) + "." + payload + ".c2ln",
		"no end of the header":         segment(`{"alg":"HS256"`) + "." + payload + ".c2ln",
		"byte order mark":              segment("\ufeff"+`{"alg":"HS256"}`) + "." + payload + ".c2ln",
		"UTF-16":                       segment(wide(`{"alg":"HS256"}`)) + "." + payload + ".c2ln", // json.loads
		"UTF-16 with a mark":           segment("\xff\xfe"+wide(`{"alg":"HS256"}`)) + "." + payload + ".c2ln",
		"escaped":                      segment(`{"\u0061\u006C\u0067":"HS256"}`) + "." + payload + ".c2ln",
		"capitals":                     segment(`{"Alg":"HS256"}`) + "." + payload + ".c2ln", // encoding/json
		"in capitals, escaped":         segment(`{"\u0041LG":"HS256"}`) + "." + payload + ".c2ln",
		"escaped as in JavaScript":     segment(`{"\x61lg":"HS256"}`) + "." + payload + ".c2ln", // JSON5
		"a no-break space":             segment("{\u00a0alg\u2028:\"HS256\"}") + "." + payload + ".c2ln",
		"hyphens within":               head[:5] + "-" + head[5:9] + "_" + head[9:] + "." + payload + ".c2ln", // a decoder of the standard alphabet
		"plus signs within":            head[:5] + "+" + head[5:9] + "/" + head[9:] + "." + payload + ".c2ln",
		"no quotes":                    segment(`{alg:HS256}`) + "." + payload + ".c2ln", // gson
		"single quotes":                segment(`{'alg':'HS256'}`) + "." + payload + ".c2ln",
		"equals sign":                  segment(`{typ=JWT;alg=HS256}`) + "." + payload + ".c2ln",
		"comment in front":             segment(`/**/{"alg":"HS256"}`) + "." + payload + ".c2ln",
		"comments within":              segment("{/**/alg/**/:HS256}") + "." + payload + ".c2ln",
		"what guards against scripts":  segment(")]}'\n"+`{"alg":"HS256"}`) + "." + payload + ".c2ln",
		"invalid UTF-8":                segment("{\"x\":\"\xff\",\"alg\":\"HS256\"}") + "." + payload + ".c2ln",
		"white space":                  segment("{\n\t\"alg\" \n:\"HS256\"}") + "." + payload + ".c2ln",
		"encrypted":                    segment(`{"alg":"dir","enc":"A256GCM"}`) + "..aXY.dGV4dA.dGFn",
		"no alg":                       segment(`{"typ":"JWT"}`) + "." + payload + ".c2ln",
		"no member":                    segment(`{}`) + "." + payload + ".c2ln",
		"JSON serialisation as base64": segment(`{"payload":"` + payload + `","protected":"` + head + `","signature":"c2ln"}`),
		"the same, spaced and marked":  segment("\ufeff {\"payload\":\"é\"}\n"),
		"standard alphabet":            base64.StdEncoding.EncodeToString([]byte(`{"alg":"HS256","x":"???>>>"}`)) + "." + payload + ".c2ln",
	} {
		if !opaque.ResemblesJWT(raw) {
			t.Errorf("%s: %s", what, raw)
		}
	}
}

// Texts in which nobody can find header and payload, and tokens of other kinds.
func TestOtherKindsOfTokensAreOpaque(t *testing.T) {
	n := newNamer(t, secret)
	for what, raw := range map[string]string{
		"a header that cannot be one, undotted": segment(`{"alg":"HS256"} and more`),
		"hexadecimal":                           "e3b0c44298fc1c149afbf4c8996fb924", // decodes to {…
		"UUID":                                  "e02b44fa-1e1c-4b0e-9d5e-7b7d7b7d7b7d",
		"{} and more":                           "e30b44fa1e1c4b0e9d5e7b7d7b7d7b7d.e30b44fa1e1c4b0e9d5e",
		"PASETO":                                "v4.public." + segment(`{"sub":"algernon","alg":false}`+strings.Repeat("\xff", 64)),
		"Mapbox":                                "pk." + segment(`{"u":"name","a":"id"}`) + ".c2ln",
		"Slack":                                 "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzzqgy",
		"Google":                                "ya29.a0AfB_byC-1234",
		"Discord":                               "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
		"Grafana":                               "glc_" + segment(`{"o":"1","n":"alg","k":"x"}`),
	} {
		if opaque.ResemblesJWT(raw) {
			t.Errorf("%s: %s", what, raw)
		}
		if _, err := n.Name(raw); err != nil {
			t.Errorf("%s: %s has no name: %v", what, raw, err)
		}
	}
}

// The list knows tokens by these names: another rule for what resembles a JWT changes none.
func TestNamesStayAsTheyWere(t *testing.T) {
	n := newNamer(t, secret)
	unlucky := segment("{\xff\xff\xff") + ".YWJj." // begins like an object, and is none
	if name(t, n, unlucky+"AAAA") != name(t, n, unlucky+"BBBB") {
		t.Error("the last part of three came into the name")
	}
	for _, spelled := range []string{unlucky + "AAAA=", unlucky + "A+/A", unlucky + "A-_A"} {
		if name(t, n, spelled) != name(t, n, unlucky+"AAAA") {
			t.Errorf("%s has a name of its own", spelled)
		}
	}
	if _, err := n.Name("." + segment(`{"alg":"ES256"}`) + "." + segment(`{}`) + ".AAAA"); !errors.Is(err, opaque.ErrMalformed) {
		t.Errorf("another spelling of a JWT: %v", err)
	}
}

func BenchmarkResemblesJWT(b *testing.B) {
	for what, raw := range map[string]string{
		"JWT":     segment(`{"alg":"RS256","typ":"JWT","kid":"b7b1a1c0-55aa-4c0e-9d5e-000000000001"}`) + "." + strings.Repeat("a", 400) + "." + strings.Repeat("b", 342),
		"hex":     strings.Repeat("e3b0c442", 8),
		"Deribit": "1554817622000.1GkAOfQz." + strings.Repeat("jxsZ-_x9", 8),
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				opaque.ResemblesJWT(raw)
			}
		})
	}
}
