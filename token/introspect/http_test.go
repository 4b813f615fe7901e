package introspect

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// headed is a good answer under a content type.
func headed(contentType ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = contentType
		fmt.Fprint(w, `{"active":true}`)
	}
}

// raw sends bytes that need not be HTTP, and ends the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, text)
	}
}

// zipped is a JSON document with spaces after it, compressed.
func zipped(document string, spaces int) http.HandlerFunc {
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	fmt.Fprint(z, document)
	for ; spaces > 0; spaces -= 1 << 10 {
		_, _ = z.Write(bytes.Repeat([]byte(" "), min(spaces, 1<<10)))
	}
	_ = z.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body.Bytes())
	}
}

// Over real connections: every answer but an unmistakable one is no answer at all.
func TestOnlyAnUnmistakableAnswerCounts(t *testing.T) {
	const good = `{"active":true}`
	padded := func(n int) string { return good + strings.Repeat(" ", n-len(good)) }
	for name, tt := range map[string]struct {
		respond http.HandlerFunc
		want    string // in the error; "" for success
	}{
		"good":                  {says(good), ""},
		"charset":               {headed("application/json; charset=utf-8"), ""},
		"capitals":              {headed("Application/JSON"), ""},
		"as large as it may be": {says(padded(maxAnswer)), ""},
		"gzip":                  {zipped(good, 100), ""},
		"status 201":            {status(http.StatusCreated), "status 201"},
		"status 204":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204"},
		"status 206":            {status(http.StatusPartialContent), "status 206"},
		"status 304":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, "status 304"},
		"status 400":            {status(http.StatusBadRequest), "status 400"},
		"status 401":            {status(http.StatusUnauthorized), "refuses the credentials that are configured for it: status 401"},
		"status 403":            {status(http.StatusForbidden), "refuses the credentials that are configured for it: status 403"},
		"status 404":            {status(http.StatusNotFound), "status 404"},
		"status 500":            {status(http.StatusInternalServerError), "status 500"},
		"status 503":            {status(http.StatusServiceUnavailable), "status 503"},
		"no content type":       {headed(), "not application/json"},
		"two content types":     {headed("application/json", "application/json"), "not application/json"},
		"HTML":                  {headed("text/html"), "not application/json"},
		"text":                  {headed("text/plain; charset=utf-8"), "not application/json"},
		"no media type":         {headed(";" + marker), "not application/json"},
		"another JSON":          {headed("application/problem+json"), "not application/json"},
		"signed":                {headed("application/token-introspection+jwt"), "signed answers are not supported"},
		"empty":                 {says(""), "not a strict JSON object"},
		"truncated":             {says(`{"active":true`), "not a strict JSON object"},
		"oversized":             {says(padded(maxAnswer + 1)), "more than 65536 bytes"},
		"endless":               {endless, "more than 65536 bytes"},
		"gzip bomb":             {zipped(good, 4<<20), "more than 65536 bytes"},
		"gzip that is none":     {encoded("gzip", good), "no valid HTTP answer"},
		"compressed otherwise":  {encoded("br", good), "encoding that was not asked for"},
		"large header": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
			says(good)(w, r)
		}, "no valid HTTP answer"},
		"not HTTP":                {raw(marker + "\r\n\r\n"), "no valid HTTP answer"},
		"no header":               {raw("HTTP/1.1 200 OK\r\n" + marker + "\r\n\r\n" + good), "no valid HTTP answer"},
		"nothing":                 {raw(""), "the connection ended in the middle"},
		"cut":                     {raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n" + good), "the connection ended in the middle"},
		"cut in a chunk":          {raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + good), "the connection ended in the middle"},
		"active in a wrong place": {says(`{"data":{"active":true}}`), "without a boolean member active"},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(newAuthority(tt.respond))
			defer web.Close()
			c := openAt(t, web.URL+"/introspect?key=abc", Options{})
			answer, err := c.Introspect(t.Context(), opaque)
			if tt.want == "" {
				check(t, name, answer, err, nil)
				return
			}
			check(t, name, answer, err, ErrUnavailable)
			if err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), web.URL+"/introspect")) {
				t.Errorf("%v; want %q and the address", err, tt.want)
			}
		})
	}
}

// endless goes on for as long as somebody reads.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
			return
		}
	}
}

// encoded claims an encoding for a body that does not have it.
func encoded(encoding, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", encoding)
		says(body)(w, r)
	}
}

// Another place would get the token, and our credentials with some statuses.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := newAuthority(says(`{"active":true}`))
	target := httptest.NewServer(elsewhere)
	defer target.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL+"/"+marker, code)
		}))
		c := openAt(t, web.URL, Options{})
		_, err := c.Introspect(t.Context(), opaque)
		check(t, fmt.Sprint(code), nil, err, ErrUnavailable)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint("status ", code)) {
			t.Error(err)
		}
		web.Close()
	}
	if n := elsewhere.count(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	web := httptest.NewServer(nil)
	web.Close()
	c := openAt(t, web.URL, Options{})
	_, err := c.Introspect(t.Context(), opaque)
	check(t, "down", nil, err, ErrUnavailable)
	if connection := new(net.OpError); !errors.As(err, &connection) {
		t.Errorf("the reason is missing: %v", err)
	}
}

// Before the header and in the body: what takes too long is no answer.
func TestAServerThatTakesTooLong(t *testing.T) {
	for name, begin := range map[string]string{"no header": "", "no body": `{"active":`} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is noticed
			if begin != "" {
				says(begin)(w, r)
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}))
		c := openAt(t, web.URL, Options{Timeout: 50 * time.Millisecond})
		_, err := c.Introspect(t.Context(), opaque)
		check(t, name, nil, err, ErrUnavailable)
		if err == nil || !strings.Contains(err.Error(), "no answer in time") {
			t.Errorf("%s: %v", name, err)
		}
		web.Close()
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	web := httptest.NewUnstartedServer(newAuthority(says(`{"active":true}`)))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are what it is about
	web.StartTLS()
	defer web.Close()
	c := openAt(t, web.URL, Options{})
	_, err := c.Introspect(t.Context(), opaque)
	check(t, "unknown authority", nil, err, ErrUnavailable)
	if unknown := new(tls.CertificateVerificationError); !errors.As(err, &unknown) {
		t.Error(err)
	}

	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	transport := newTransport(Options{Timeout: DefaultTimeout})
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	expect(t, openAt(t, web.URL, Options{Transport: transport}), "known authority", opaque, nil)

	plain := httptest.NewServer(newAuthority(says(`{"active":true}`)))
	defer plain.Close()
	c = openAt(t, strings.Replace(plain.URL, "http:", "https:", 1), Options{})
	_, err = c.Introspect(t.Context(), opaque)
	check(t, "no TLS", nil, err, http.ErrSchemeMismatch)
}

// Connections are kept for the next tokens, as many as are used at the same time.
func TestConnectionsAreReused(t *testing.T) {
	var connections atomic.Int32
	web := httptest.NewUnstartedServer(newAuthority(says(`{"active":true}`)))
	web.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	web.Start()
	defer web.Close()
	c := openAt(t, web.URL, Options{})
	for i := range 20 {
		expect(t, c, "token", fmt.Sprint("token-", i), nil)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	transport, ok := c.endpoint.client.Transport.(*http.Transport)
	if !ok || transport.MaxIdleConnsPerHost != DefaultMaxConcurrent || transport.MaxIdleConns != DefaultMaxConcurrent {
		t.Error("the pool is smaller than what is under way at the same time")
	}
}

// A server may close an idle connection in the very moment in which it is used again.
// That is no failure: nobody is refused for it, and the server is not left alone.
func TestAConnectionThatEndsIdleIsNoFailure(t *testing.T) {
	ended := false // the handler is called by one request after the other
	web := httptest.NewServer(newAuthority(func(w http.ResponseWriter, r *http.Request) {
		if r.Form.Get("token") == "token-1" && !ended {
			ended = true
			raw("")(w, r)
			return
		}
		says(`{"active":true}`)(w, r)
	}))
	defer web.Close()
	c := openAt(t, web.URL, Options{})
	for i := range 3 {
		expect(t, c, "token", fmt.Sprint("token-", i), nil)
	}
	if !ended {
		t.Error("no connection has ended")
	}
}
