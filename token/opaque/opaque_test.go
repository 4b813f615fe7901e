package opaque_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/caddy-token-auth/token/opaque"
)

func newNamer(t testing.TB, secret string) *opaque.Namer {
	t.Helper()
	n, err := opaque.NewNamer([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var secret = strings.Repeat("s", opaque.MinSecret)

func name(t testing.TB, n *opaque.Namer, raw string) string {
	t.Helper()
	text, err := n.Name(raw)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return text
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestSpellingsThatAPIsOverlookHaveOneName(t *testing.T) {
	n := newNamer(t, secret)
	seen := make(map[string]bool)
	for _, group := range [][]string{
		{"ab+c/d", "ab-c_d", "ab-c/d=", "ab+c_d=="},
		{"550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000", "550e8400e29b41d4a716446655440000"},
		{"1554817622000.1GkAOfQz.jxsZ-_x9"},
		{"deadbeef"}, // too short to be taken for hexadecimal
		{"DEADBEEF"},
		{"AbCdEfGhIjKlMnOp"},
		{"aBCdEfGhIjKlMnOp"},
		{segment(`{"alg":"ES256"}`) + "." + segment(`{"sub":"42"}`) + ".AAAA", segment(`{"alg":"ES256"}`) + "." + segment(`{"sub":"42"}`) + ".BBBB"},
		{segment(`{"alg":"ES256"}`) + "." + segment(`{"sub":"43"}`) + ".AAAA"},
	} {
		first := name(t, n, group[0])
		for _, raw := range group[1:] {
			if got := name(t, n, raw); got != first {
				t.Errorf("%q is %s, %q is %s", group[0], first, raw, got)
			}
		}
		seen[first] = true
	}
	if len(seen) != 9 {
		t.Errorf("%d names for 9 tokens", len(seen))
	}
}

func TestWhatIsNoTokenHasNoName(t *testing.T) {
	n := newNamer(t, secret)
	head, payload := segment(`{"alg":"ES256"}`), segment(`{"sub":"42"}`)
	for _, raw := range []string{
		"", "=", "a b", "a\tb", "a\r\nb", "a\x00", "a,b", `"a"`, "a=b", "é", "a;b", "a%20b",
		strings.Repeat("a", opaque.MaxLength+1),
		head + "." + payload, head + "." + payload + ".", head + ".." + "AAAA", head,
		head + "." + payload + ".AAAA.BBBB", head + "=." + payload + ".AAAA", head + "." + payload + ".AAA=",
		head + "." + payload + ".AB", // unused bits
		"~" + head + "." + payload + ".AAAA",
		strings.ReplaceAll(segment(`{"kid":"???>>>"}`), "_", "/") + "." + payload + ".AAAA",
	} {
		if got, err := n.Name(raw); !errors.Is(err, opaque.ErrMalformed) {
			t.Errorf("%q has the name %q (%v)", raw, got, err)
		}
	}
}

func TestJWTsAreRecognisedInEverySpelling(t *testing.T) {
	rest := "." + segment(`{}`) + ".AAAA"
	for text, want := range map[string]bool{
		segment(`{"alg":"none"}`) + rest:              true,
		segment("\ufeff \r\n{}") + rest:               true,
		segment("\x00{}") + rest:                      true,
		segment(`{}`):                                 true,
		"e.y.J" + rest:                                false,
		"e~yJhbGciOiJub25lIn0" + rest:                 true,
		"e=yJhbGciOiJub25lIn0" + rest:                 true,
		"e\r\nyJhbGciOiJub25lIn0" + rest:              true,
		segment(`{"alg":"dir"}`) + "..AAAA.AAAA.AAAA": true,
		"1554817622000.1GkAOfQz.jxsZ":                 false,
		"550e8400-e29b-41d4-a716-446655440000":        false,
		segment(`["{"]`):                              false,
		"":                                            false,
		"e":                                           false,
	} {
		if got := opaque.ResemblesJWT(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestNamesDependOnTheSecret(t *testing.T) {
	a, b := newNamer(t, secret), newNamer(t, strings.Repeat("t", opaque.MinSecret))
	if name(t, a, "token") == name(t, b, "token") {
		t.Error("two secrets give one name")
	}
	if name(t, a, "token") != name(t, newNamer(t, secret), "token") {
		t.Error("one secret gives two names")
	}
	if _, err := opaque.NewNamer([]byte(secret[1:])); err == nil {
		t.Error("a short secret is taken")
	}
	if got := fmt.Sprintf("%v %+v %#v %s", a, *a, a, a); strings.Contains(got, "[") || strings.Contains(got, "0x") {
		t.Errorf("a namer prints as %s", got)
	}
}

func FuzzName(f *testing.F) {
	n := newNamer(f, secret)
	for _, raw := range []string{"token", "550e8400-e29b-41d4-a716-446655440000", segment(`{"alg":"ES256"}`) + "." + segment(`{}`) + ".AAAA", "a+b/c=="} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := n.Name(raw)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got, opaque.Prefix) || len(got) > 64 {
			t.Fatalf("name %q", got)
		}
		if strings.ContainsAny(raw, " \r\n\t\x00\",;") {
			t.Fatalf("%q has a name", raw)
		}
		// What differs in more than spelling has another name.
		if other, err := n.Name("x" + raw); err == nil && other == got {
			t.Fatalf("%q and x%q have one name", raw, raw)
		}
	})
}

func ExampleNamer() {
	n, err := opaque.NewNamer([]byte("a secret of the deployment, 32 bytes or more"))
	if err != nil {
		panic(err)
	}
	upper, _ := n.Name("550E8400-E29B-41D4-A716-446655440000")
	lower, _ := n.Name("550e8400-e29b-41d4-a716-446655440000")
	fmt.Println(upper == lower, strings.HasPrefix(upper, opaque.Prefix))
	// Output: true true
}
