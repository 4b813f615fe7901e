package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
)

const secret = "0123456789abcdef0123456789abcdef"

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestServesUntilItIsToldToStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ran := make(chan error, 1)
	go func() {
		ran <- run(ctx, []string{"-listen", "127.0.0.1:0"}, env(map[string]string{"JWT_SECRET": secret, "API_KEY": "k", "API_SECRET": "s"}), in)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, <-ran)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(line), "listening on ")

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/auth/login", strings.NewReader(`{"username":"k","password":"s"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"client_id":42`)) {
		t.Errorf("login: %d %s %v", resp.StatusCode, body, err)
	}

	cancel()
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestMistakesAreErrors(t *testing.T) {
	good := map[string]string{"JWT_SECRET": secret}
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want string
	}{
		"no secret":      {nil, nil, "JWT_SECRET must have at least 32 bytes, and has 0"},
		"short secret":   {nil, map[string]string{"JWT_SECRET": secret[1:]}, "JWT_SECRET must have at least 32 bytes, and has 31"},
		"half a client":  {nil, map[string]string{"JWT_SECRET": secret, "API_KEY": "k"}, "must both be set"},
		"bad address":    {[]string{"-listen", "nowhere"}, good, "missing port"},
		"an argument":    {[]string{"x"}, good, `unexpected argument "x"`},
		"unknown option": {[]string{"-x"}, good, errUsage.Error()},
	} {
		err := run(t.Context(), tc.args, env(tc.env), io.Discard)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret[1:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, env(nil), &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "127.0.0.1:9000") {
		t.Errorf("help: %v %s", err, &help)
	}
}
