package dialect_test

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

// sentBack is what stands between the version and the error.
func sentBack(t *testing.T, raw string) string {
	t.Helper()
	got := string(named(t, "deribit").Refuse(dialect.Refusal{Reason: dialect.InvalidCredential, Request: withID(raw)}).Body)
	if !json.Valid([]byte(got)) {
		t.Errorf("id %q: not JSON: %s", raw, got)
	}
	got, hasVersion := strings.CutPrefix(got, `{"jsonrpc":"2.0",`)
	got, hasError := strings.CutSuffix(got, unauthorized)
	if !hasVersion || !hasError {
		t.Errorf("id %q: other members in %s", raw, got)
	}
	return got
}

func TestRequestIDIsSentBackAsItCame(t *testing.T) {
	for _, id := range []string{
		"0", "42", "-7", "9929", "123456789012345678901234567890", "1.50", "1e3", "null",
		`""`, `"a"`, `"id with \"quotes\", \\ and \u0007"`, `"naïve"`, `"</script>"`,
		`"` + strings.Repeat("x", 254) + `"`,
	} {
		if got := sentBack(t, id); got != `"id":`+id+`,` {
			t.Errorf("%s came back as %s", id, got)
		}
	}
	if got := sentBack(t, ""); got != "" {
		t.Errorf("no id came back as %s", got)
	}
}

// Whatever a client sends as an id, it cannot add to the answer.
func TestRequestIDCannotInject(t *testing.T) {
	for name, id := range map[string]string{
		"member":             `1,"result":"ok"`,
		"end of the object":  `1}`,
		"second answer":      "1}\n{\"jsonrpc\":\"2.0\"",
		"end of the string":  `"a","result":"b"`,
		"two values":         `"a" "b"`,
		"unclosed string":    `"a`,
		"escaped end":        `"a\"`,
		"object":             `{"a":1}`,
		"array":              `[1]`,
		"boolean":            `true`,
		"bare word":          `abc`,
		"comment":            `1/**/`,
		"leading zero":       `01`,
		"plus":               `+1`,
		"not a number":       `NaN`,
		"hexadecimal":        `0x10`,
		"bare minus":         `-`,
		"line feed":          "\"a\nb\"",
		"line feed after":    "1\n",
		"space before":       " 1",
		"null and more":      "nullx",
		"zero byte":          "\"\x00\"",
		"not UTF-8":          "\"\xff\"",
		"overlong UTF-8":     "\"\xc0\xa2,\\\"x\\\":\\\"\"",
		"single quotes":      `'a'`,
		"257 bytes":          `"` + strings.Repeat("x", 255) + `"`,
		"a million digits":   strings.Repeat("1", 1e6),
		"a million brackets": strings.Repeat("[", 1e6),
	} {
		if got := sentBack(t, id); got != `"id":null,` {
			t.Errorf("%s came back as %s", name, got)
		}
	}
}

func TestMessageID(t *testing.T) {
	for message, want := range map[string]string{
		"":                                  "",
		" \r\n":                             "",
		`{"jsonrpc":"2.0","id":42}`:         "42",
		"{ \"id\" :\t\"a\" , \"x\" : [1] }": `"a"`,
		`{"id":null}`:                       "null",
		`{"id":{"a":1}}`:                    `{"a":1}`, // null in the answer
		`{"ID":1,"method":"m"}`:             "",
		`{"params":{"id":1}}`:               "",
		`{}`:                                "",
		`null`:                              "null",
		`[{"id":1}]`:                        "null",
		`"id"`:                              "null",
		`{"id":1`:                           "null",
		`{"id":1}{"id":2}`:                  "null",
		`id=1`:                              "null",
	} {
		if got := dialect.MessageID([]byte(message)); string(got) != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}

func TestTextID(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"42":                     "42",
		"-1":                     "-1",
		"0":                      "0",
		"007":                    `"007"`,
		"+1":                     `"+1"`,
		"1.5":                    `"1.5"`,
		"99999999999999999999":   `"99999999999999999999"`,
		"null":                   `"null"`,
		`a","result":"b`:         `"a\",\"result\":\"b"`,
		"a\x00\xff":              `"a\u0000` + "\\ufffd" + `"`,
		strings.Repeat("x", 300): "null",
	} {
		got := dialect.TextID(text)
		if string(got) != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		if got != nil {
			if back := sentBack(t, string(got)); back != `"id":`+want+`,` {
				t.Errorf("%q came back as %s", text, back)
			}
		}
	}
}

func FuzzRequestID(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte, text string) {
		for _, id := range []json.RawMessage{message, dialect.MessageID(message), dialect.TextID(text)} {
			var answer map[string]json.RawMessage
			body := named(t, "deribit").Refuse(dialect.Refusal{Reason: dialect.InvalidCredential, Request: withID(string(id))}).Body
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			members := 2
			if len(id) > 0 {
				members = 3
			}
			if len(answer) != members || string(answer["error"]) != `{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}` {
				t.Fatalf("other members: %s", body)
			}
			switch echoed := answer["id"]; {
			case len(echoed) > 256:
				t.Fatalf("an id of %d bytes was sent back", len(echoed))
			case len(echoed) > 0 && strings.ContainsAny(string(echoed[:1]), "[{tf"):
				t.Fatalf("sent back: %s", echoed)
			}
		}
	})
}
