package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCores(t *testing.T) {
	for n, want := range map[int][2]string{1: {"", ""}, 2: {"0", "1"}, 8: {"0", "1-7"}} {
		if server, load := cores(n); server != want[0] || load != want[1] {
			t.Errorf("%d cores: %q and %q, want %q", n, server, load, want)
		}
	}
}

func TestArgumentsThatMakeNoSenseAreRefused(t *testing.T) {
	if s, err := parse([]string{"-reps", "3"}); err != nil || s.repetitions != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, args := range []string{"-reps 0", "-tokens 0", "-connections -1", "-duration 10ms", "-revocations -1", "extra"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
}

func TestUpstreamBodyIsAboutOneKilobyteOfJSON(t *testing.T) {
	if n := len(upstreamBody); !json.Valid(upstreamBody) || n < 900 || n > 1100 {
		t.Errorf("%d bytes: %s", n, upstreamBody)
	}
}

func TestServersDifferByTokenAuthOnly(t *testing.T) {
	c := caddyfile{listen: "127.0.0.1:1", admin: "127.0.0.1:2", upstream: "127.0.0.1:3"}
	plain := c.String()
	c.auth, c.store = []string{"api octopus_cards", "public_key key.pem"}, "dir"
	sidecar := c.String()

	without := sidecar
	for _, block := range []string{
		"\ttoken_auth {\n\t\tstore local dir\n\t}\n",
		"\ttoken_auth {\n\t\tapi octopus_cards\n\t\tpublic_key key.pem\n\t}\n",
	} {
		if strings.Count(without, block) != 1 {
			t.Errorf("not there, or twice:\n%s\nin\n%s", block, sidecar)
		}
		without = strings.Replace(without, block, "", 1)
	}
	if without != plain {
		t.Errorf("sidecar without token_auth:\n%s\nplain:\n%s", without, plain)
	}
}
