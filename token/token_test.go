package token

import (
	"sync"
	"testing"
)

func TestClaimNamesAreLiteral(t *testing.T) {
	tok, err := verifier(t, Config{}).Verify(t.Context(), hs256(good(`
		"name":"Ann \"A\" \u00e9\n", "empty":"", "count":1.50e3, "admin":true, "off":false, "nothing":null,
		"list":[1, "two" ,null], "object":{ "a" : {"b":[ ]} }, "":"no name",
		"https://x.example/roles":["r"], "a.b":"dotted", "a":{"b":"nested"}, "*":"star", "?":"mark", "a|b":"pipe",
		"@this":"at", "#":"hash", "list.#":"counted", "\\":"backslash", "é":"accent", "a\\.b":"escaped", `)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"name": "Ann \"A\" é\n", "empty": "", "count": "1.50e3", "admin": "true", "off": "false",
		"list": `[1,"two",null]`, "object": `{"a":{"b":[]}}`, "": "no name",
		"https://x.example/roles": `["r"]`, "a.b": "dotted", "a": `{"b":"nested"}`, "*": "star", "?": "mark",
		"a|b": "pipe", "@this": "at", "#": "hash", "list.#": "counted", `\`: "backslash", "é": "accent", `a\.b`: "escaped",
		"iat": "1768478340",
	} {
		if got, ok := tok.Claim(name); !ok || got != want {
			t.Errorf("claim %q is %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"nothing", "absent", "Name", "object.a", "a.b.c", "list.0", "@pretty", "na*", "nam?", "..", "a.*"} {
		if got, ok := tok.Claim(name); ok {
			t.Errorf("claim %q is %q", name, got)
		}
	}
}

func TestClaimIsReadOnceForAll(t *testing.T) {
	tok, err := verifier(t, Config{}).Verify(t.Context(), hs256(good(`"name":"Ann",`)))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got, _ := tok.Claim("name"); got != "Ann" {
				t.Errorf("claim is %q", got)
			}
		})
	}
	group.Wait()
	if n := testing.AllocsPerRun(100, func() { tok.Claim("name"); tok.Claim("absent") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
