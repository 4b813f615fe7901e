package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/bench/internal/report"
	"example.com/caddy-token-auth/bench/internal/workload"
)

// measureSidecars times the way of a logout from one sidecar to another one, over HTTP.
func measureSidecars(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{Title: "From the 200 to a logout by one sidecar to the first request that another one refuses, over HTTP:", Head: report.DelayHead("store")}
	binary, err := l.binary(ctx)
	if err != nil {
		return t, err
	}
	signer, err := workload.NewSigner("HS256")
	if err != nil {
		return t, err
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	l.cleanup = append(l.cleanup, upstream.Close)
	engines, err := l.shared(ctx)
	if err != nil {
		return t, err
	}
	for i, e := range engines {
		var sidecars [2]string // URLs
		for n := range sidecars {
			if sidecars[n], err = l.sidecar(ctx, binary, fmt.Sprintf("sidecar-%d-%d", i, n), e, signer, upstream.Listener.Addr().String()); err != nil {
				return t, err
			}
		}
		tokens, err := signer.Tokens(i*l.logouts, l.logouts)
		if err != nil {
			return t, err
		}
		var delays []time.Duration
		for _, token := range tokens {
			delay, err := passOnByHTTP(ctx, sidecars[0], sidecars[1], token)
			if err != nil {
				return t, fmt.Errorf("%s: %w", e.name, err)
			}
			delays = append(delays, delay)
		}
		t.Add(report.DelayRow(e.name, delays)...)
	}
	return t, nil
}

// binary returns a Caddy with the plugin.
func (l *lab) binary(ctx context.Context) (string, error) {
	if l.caddy != "" {
		return l.caddy, nil
	}
	say("building Caddy with the plugin")
	var err error
	l.caddy, err = process.BuildCaddy(ctx, l.dir)
	return l.caddy, err
}

// sidecar starts one and returns its URL once it is ready.
func (l *lab) sidecar(ctx context.Context, binary, name string, e engine, signer *workload.Signer, upstream string) (string, error) {
	secret, err := signer.VerificationKey()
	if err != nil {
		return "", err
	}
	addr, port, err := process.FreePort(ctx)
	if err != nil {
		return "", err
	}
	home := filepath.Join(l.dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	config := filepath.Join(home, "Caddyfile")
	text := fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\ttoken_auth {\n\t\t%s\n\t}\n}\n\n"+
		"http://:%s {\n\tbind 127.0.0.1\n\ttoken_auth {\n\t\tapi octopus_cards\n\t\tsecret {env.JWT_SECRET}\n\t\tready /ready\n\t}\n\treverse_proxy %s\n}\n",
		e.option, port, upstream)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", err
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home, "JWT_SECRET=" + secret}
	if err := l.run(name, env, binary, "run", "--config", config); err != nil {
		return "", err
	}
	url := "http://" + addr
	return url, waitUntil(ctx, name, func() error {
		if got, err := process.Status(ctx, http.MethodGet, url+"/ready", ""); err != nil || got != http.StatusOK {
			return errors.Join(err, fmt.Errorf("status %d", got))
		}
		return nil
	})
}

// passOnByHTTP logs a client out and returns how long after the answer the other sidecar
// gave its first refusal.
func passOnByHTTP(ctx context.Context, a, b, token string) (time.Duration, error) {
	if got, err := process.Status(ctx, http.MethodGet, b+"/v1/cards", token); err != nil || got != http.StatusOK {
		return 0, fmt.Errorf("before the logout: status %d, %w", got, err)
	}
	if got, err := process.Status(ctx, http.MethodPost, a+"/auth/logout", token); err != nil || got != http.StatusOK {
		return 0, fmt.Errorf("logout: status %d, %w", got, err)
	}
	acknowledged := time.Now()
	for time.Since(acknowledged) < startTimeout {
		switch got, err := process.Status(ctx, http.MethodGet, b+"/v1/cards", token); {
		case err != nil:
			return 0, err
		case got == http.StatusUnauthorized:
			return time.Since(acknowledged), nil
		case got != http.StatusOK:
			return 0, fmt.Errorf("after the logout: status %d", got)
		}
	}
	return 0, fmt.Errorf("still let through after %s", startTimeout)
}
