package jwks

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/token"
)

// wrongAnswers are what an endpoint may say instead of a JWK set.
func wrongAnswers() map[string]func(*site) {
	good := published(newSigner("1"))
	page := func(text string) func(*site) { return func(s *site) { s.set(setURL, text) } }
	status := func(code int) func(*site) {
		return func(s *site) { s.mu.Lock(); s.status = code; s.mu.Unlock() }
	}
	return map[string]func(*site){
		"down":           func(s *site) { s.down(errDown) },
		"slow":           func(s *site) { s.hold(hang) },
		"status 500":     status(http.StatusInternalServerError),
		"status 204":     status(http.StatusNoContent),
		"status 206":     status(http.StatusPartialContent),
		"status 304":     status(http.StatusNotModified),
		"HTML":           page("<!doctype html><title>sign in</title>"),
		"empty body":     page(""),
		"truncated":      page(good[:len(good)-2]),
		"empty set":      page(`{"keys":[]}`),
		"a discovery":    page(`{"issuer":"https://a.example","jwks_uri":"https://a.example/keys"}`),
		"secrets only":   page(`{"keys":[{"kty":"oct","k":"AAAA"}]}`),
		"private only":   page(document(members(p256Key(), nil))),
		"oversized":      page(good + strings.Repeat(" ", maxSize)),
		"many empties":   page(`{"keys":[` + strings.Repeat("{},", 300_000) + `{}]}`),
		"endless nested": page(`{"keys":` + strings.Repeat("[", 400_000)),
	}
}

// A wrong answer at the beginning: no keys. Later: the keys stay.
func TestWrongAnswersChangeNothing(t *testing.T) {
	for name, spoil := range wrongAnswers() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := newSigner("first")
				web := newSite(map[string]string{setURL: published(key)})
				spoil(web)
				s := open(t, setURL, options(web))
				v := verifier(t, token.Source{Keys: s})
				expect(t, v, "from the beginning", key.token(issuerA), token.ErrKeysUnavailable)
				time.Sleep(DefaultTimeout)
				synctest.Wait()
				if err := s.Status().Err; err == nil || strings.Contains(err.Error(), "<") || len(err.Error()) > 200 {
					t.Errorf("status %v", err)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				web, first, s, v := loaded(t, nil)
				raw := first.token(issuerA)
				expect(t, v, "before", raw, nil)
				spoil(web)
				time.Sleep(DefaultRefresh + DefaultTimeout)
				synctest.Wait()
				if s.Status().Err == nil || s.Status().Keys != 1 {
					t.Errorf("status %+v", s.Status())
				}
				expect(t, v, "cached", raw, nil)
				expect(t, v, "new", first.token(issuerA), nil)
				expect(t, v, "unknown", newSigner("x").token(issuerA), token.ErrKeysUnavailable)
			})
		})
	}
}

// overTLS returns a server with a certificate of its own authority, and options that
// trust it.
func overTLS(t *testing.T, handler http.Handler) (*httptest.Server, Options) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are what it is about
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	transport := newTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return server, Options{Client: &http.Client{Transport: transport}}
}

// outcome returns the first event of a source.
func outcome(t *testing.T, source func(Options) (*Source, error), o Options) Event {
	t.Helper()
	first := make(chan Event, 10)
	o.OnEvent = func(e Event) { first <- e }
	s, err := source(o)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return <-first
}

func fromURL(address string) func(Options) (*Source, error) {
	return func(o Options) (*Source, error) { return FromURL(address, o) }
}

func TestOverRealConnections(t *testing.T) {
	doc := published(newSigner("1"))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, doc) }))
	defer plain.Close()
	mux := http.NewServeMux()
	server, o := overTLS(t, mux)
	to := func(path, target string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
	}
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, doc) })
	to("/once", "/keys")
	to("/loop", "/loop")
	to("/1", "/2")
	to("/2", "/3")
	to("/3", "/keys")
	to("/0", "/1")
	to("/plain", plain.URL)
	to("/user", strings.Replace(server.URL, "https://", "https://user:secret@", 1)+"/keys")
	to("/file", "file:///etc/passwd")
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(doc)+1))
		fmt.Fprint(w, doc)
	})
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 2<<20))
		fmt.Fprint(w, doc)
	})

	for path, want := range map[string]string{
		"/keys":         "",
		"/keys?key=abc": "",
		"/once":         "",
		"/1":            "",
		"/0":            "more than 3 redirects",
		"/loop":         "more than 3 redirects",
		"/plain":        "leaves https",
		"/user":         "user name or password",
		"/file":         "leaves https",
		"/cut":          "unexpected EOF",
		"/bomb":         "larger than 1048576 bytes",
		"/header":       "header",
		"/none?key=abc": "status 404",
	} {
		e := outcome(t, fromURL(server.URL+path), o)
		switch {
		case want == "" && (e.Err != nil || e.Keys != 1):
			t.Errorf("%s: %v", path, e.Err)
		case want != "" && (e.Err == nil || !strings.Contains(e.Err.Error(), want) || e.Keys != 0):
			t.Errorf("%s: %v; want %q", path, e.Err, want)
		case e.Err != nil && (strings.Contains(e.Err.Error(), "abc") || strings.Contains(e.Err.Error(), "secret")):
			t.Errorf("%s: the error has the query or a password: %v", path, e.Err)
		}
	}

	if e := outcome(t, fromURL(plain.URL), Options{}); e.Err != nil {
		t.Errorf("http to loopback: %v", e.Err)
	}
	e := outcome(t, fromURL(server.URL+"/keys"), Options{})
	if unknown := new(tls.CertificateVerificationError); !errors.As(e.Err, &unknown) {
		t.Errorf("a certificate that nobody vouches for: %v", e.Err)
	}
}
