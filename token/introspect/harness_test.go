package introspect

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	address = "https://as.example/introspect"
	opaque  = "2YotnFZFEjr1zCsicMWpAA" // a token
	id      = "sidecar"
	secret  = "s3cr3t-of-the-sidecar"
	marker  = "quoted-from-the-answer" // is in what servers say and must not be in errors
)

// authority is an authorization server: a handler, and a RoundTripper that calls it.
type authority struct {
	mu      sync.Mutex
	asked   map[string]int // requests by token
	last    *http.Request
	body    string // of the last request
	respond http.HandlerFunc
}

func newAuthority(respond http.HandlerFunc) *authority {
	return &authority{asked: make(map[string]int), respond: respond}
}

// says returns a handler that answers with a JSON document.
func says(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, document)
	}
}

// status returns a handler that answers with a status and an otherwise good answer.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"active":true,"sub":%q}`, marker)
	}
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	a.asked[form.Get("token")]++
	a.last, a.body = r, string(body)
	respond := a.respond
	a.mu.Unlock()
	r.Form = form
	respond(w, r)
}

// RoundTrip implements http.RoundTripper.
func (a *authority) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	a.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// set changes what the server says.
func (a *authority) set(respond http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.respond = respond
}

// count returns how many requests there were since the last call.
func (a *authority) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, requests := range a.asked {
		n += requests
	}
	clear(a.asked)
	return n
}

// network is a RoundTripper made of a function.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

var errDown = errors.New("connection refused: " + marker)

// open returns a Client of an authority that is closed when the test ends.
func open(t testing.TB, a http.RoundTripper, o Options) *Client {
	t.Helper()
	o.Transport = a
	return openAt(t, address, o)
}

func openAt(t testing.TB, address string, o Options) *Client {
	t.Helper()
	if o.ClientID == "" && o.BearerToken == "" {
		o.ClientID, o.ClientSecret = id, secret
	}
	c, err := New(address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// expect fails the test unless c says want about raw: nil, or an error that is wrapped.
func expect(t *testing.T, c *Client, what, raw string, want error) {
	t.Helper()
	answer, err := c.Introspect(t.Context(), raw)
	check(t, what, answer, err, want)
}

// check compares an outcome, and that it is one of the two that there are.
func check(t *testing.T, what string, answer *Answer, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || (answer == nil) != (err != nil) {
		t.Errorf("%s: answer %v, error %v; want %v", what, answer != nil, err, want)
	}
	if err == nil {
		return
	}
	if errors.Is(err, ErrInactive) == errors.Is(err, ErrUnavailable) {
		t.Errorf("%s: %v is not one of two", what, err)
	}
	showsNothing(t, what, err.Error())
}

// showsNothing fails the test if text has a secret in it.
func showsNothing(t *testing.T, what, text string) {
	t.Helper()
	for _, hidden := range []string{opaque, secret, marker, base64.StdEncoding.EncodeToString([]byte(id + ":" + secret)), "key=abc"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%s: %q has %q in it", what, text, hidden)
		}
	}
	if len(text) > 300 {
		t.Errorf("%s: a text of %d bytes", what, len(text))
	}
}

// clock is one that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1768478400, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
