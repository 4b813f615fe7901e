package dialect_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/caddy-token-auth/dialect"
)

// rendered is the body of a template for a revoked credential.
func rendered(t *testing.T, contentType, body string, request dialect.Request) string {
	t.Helper()
	d := custom(t, "problem", dialect.Rule{On: "revoked_credential", Status: 401, ContentType: contentType, Body: body})
	return string(d.Refuse(dialect.Refusal{Reason: dialect.RevokedCredential, Request: request}).Body)
}

func TestPlaceholders(t *testing.T) {
	values := withValues(map[string]string{
		"a": "A", "http.request.uri.path": "/x", "q": `say "hi"\` + "\n", "bad": "\xff", "html": `<b title='x'>&"`,
		"reason": "not mine", "empty": "", "file./etc/x-1_2:3": "F",
	})
	const text = "text/plain"
	for _, tt := range []struct{ contentType, body, want string }{
		{"", `{}`, `{}`},
		{"", `{"a":{"b":{}}}`, `{"a":{"b":{}}}`},
		{"", `{"a":"{a}"}`, `{"a":"A"}`},
		{"", `{"a":{a}}`, `{"a":"A"}`},
		{"", `["{a}{a}", "x{a}y"]`, `["AA", "xAy"]`},
		{"", `{"{a}":1}`, `{"A":1}`},
		{"", `{a}`, `"A"`},
		{"", `{"s":{status},"t":"{status}"}`, `{"s":401,"t":"401"}`},
		{"", `{"r":{reason},"t":"{reason}"}`, `{"r":"revoked_credential","t":"revoked_credential"}`},
		{"", `{"q":"{q}"}`, `{"q":"say \"hi\"\\\n"}`},
		{"", `{"q":{q}}`, `{"q":"say \"hi\"\\\n"}`},
		{"", `{"e":"{empty}","f":{empty}}`, `{"e":"","f":""}`},
		{"", `{"bad":"{bad}"}`, `{"bad":"\ufffd"}`},
		{"", `{"unknown":"{nobody}","and":{nobody}}`, `{"unknown":"{nobody}","and":null}`},
		{"", `"{a }{ a}{1}{}{-a}{ä}{a"`, `"{a }{ a}{1}{}{-a}{ä}{a"`},
		{"", `"\\{a}\"{a}"`, `"\\A\"A"`},
		{"", `"{{a}}"`, `"{A}"`},
		{"application/vnd.api+json", `{"q":"{q}"}`, `{"q":"say \"hi\"\\\n"}`},
		{"application/json; charset=utf-8", `"{http.request.uri.path} {file./etc/x-1_2:3}"`, `"/x F"`},
		{text, `{a} {reason} {status} {nobody} "{q}" {"{a}`, "A revoked_credential 401 {nobody} \"say \"hi\"\\\n\" {\"A"},
		{"text/html; charset=utf-8", `<p>{html} {bad}</p>`, "<p>&lt;b title=&#39;x&#39;&gt;&amp;&#34; \uFFFD</p>"},
		{"application/soap+xml", `<f a="{html}"/>`, `<f a="&lt;b title=&#39;x&#39;&gt;&amp;&#34;"/>`},
	} {
		if got := rendered(t, tt.contentType, tt.body, values); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.contentType, tt.body, got, tt.want)
		}
	}
}

// Without a function nothing is known, and that is no crash.
func TestPlaceholdersWithoutValues(t *testing.T) {
	if got, want := rendered(t, "", `{"a":"{a}","b":{b},"c":"{reason}"}`, dialect.Request{}), `{"a":"{a}","b":null,"c":"revoked_credential"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A request must not be able to blow up its refusal.
func TestRenderedBodyIsBounded(t *testing.T) {
	const limit = 64 << 10
	for name, value := range map[string]string{
		"long":           strings.Repeat("x", limit),
		"many":           strings.Repeat("x", 1000),
		"long by escape": strings.Repeat("\x00", limit/6),
		"huge":           strings.Repeat("x", 64*limit),
	} {
		got := rendered(t, "", `{"r":"{reason}","a":"`+strings.Repeat("{a}", 100)+`","b":{a}}`, withValues(map[string]string{"a": value}))
		if want := `{"r":"revoked_credential","a":"","b":""}`; got != want {
			t.Errorf("%s: got %d bytes, want %s", name, len(got), want)
		}
	}
	most := strings.Repeat("x", limit-len(`""`))
	if got := rendered(t, "", `"{a}"`, withValues(map[string]string{"a": most})); len(got) != limit {
		t.Errorf("%d bytes of %d were rendered", len(got), limit)
	}
}

func TestNameOfAPlaceholderIsBounded(t *testing.T) {
	name := strings.Repeat("a", 128)
	values := withValues(map[string]string{name: "A", name + "a": "B"})
	if got := rendered(t, "text/plain", "{"+name+"} {"+name+"a}", values); got != "A {"+name+"a}" {
		t.Errorf("got %s", got)
	}
}

func TestAnswerWithoutPlaceholdersCostsNothing(t *testing.T) {
	d := custom(t, "problem", dialect.Rule{On: "*", Status: 401, Body: `{"reason":"{reason}","status":{status}}`})
	refusal := dialect.Refusal{Reason: dialect.RevokedCredential}
	if n := testing.AllocsPerRun(100, func() { d.Refuse(refusal) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTemplate renders any template with any value: what is said to be JSON is
// JSON, has the shape that it has with another value, and is no larger than it may be.
func FuzzTemplate(f *testing.F) {
	f.Fuzz(func(t *testing.T, body, value string) {
		d, err := dialect.NewCustom(nil, []dialect.Rule{{On: "*", Status: 401, Body: body}})
		if err != nil {
			return
		}
		render := func(v string) []byte {
			return d.Refuse(dialect.Refusal{
				Reason:  dialect.AgedCredential,
				Request: dialect.Request{Value: func(string) (string, bool) { return v, true }},
			}).Body
		}
		got := render(value)
		if body == "" {
			return
		}
		if len(got) > 64<<10 || !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("%q with %q: %q", body, value, got)
		}
		if a, b := shape(got), shape(render("")); a != b {
			t.Fatalf("%q with %q: shape %s, with nothing %s", body, value, a, b)
		}
	})
}

// shape is the sequence of a document's tokens, by their kinds.
func shape(document []byte) string {
	var kinds strings.Builder
	d := json.NewDecoder(bytes.NewReader(document))
	for {
		token, err := d.Token()
		if err != nil {
			return kinds.String()
		}
		switch v := token.(type) {
		case json.Delim:
			kinds.WriteRune(rune(v))
		case string:
			kinds.WriteByte('s')
		case float64:
			kinds.WriteByte('n')
		case bool:
			kinds.WriteByte('b')
		default:
			kinds.WriteByte('0')
		}
	}
}
