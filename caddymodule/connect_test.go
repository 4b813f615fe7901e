package caddymodule_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
)

// startSecure is startLive with HTTPS, over HTTP/1.1, HTTP/2 and HTTP/3.
func startSecure(t *testing.T, options string) (*site, *liveAPI, *tls.Config) {
	t.Helper()
	api := newLiveAPI(t)
	s := prepare(t, api, "api octopus_cards\nsecret "+testSecret+"\n"+options)
	certificate, trusted := newCertificate(t)
	s.tls = certificate
	config := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS13}
	transport := s.client.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.ForceAttemptHTTP2 = config.Clone(), true
	s.mustLoad()
	return s, api, config
}

// newCertificate writes a certificate for 127.0.0.1 and its key, and returns their names.
func newCertificate(t *testing.T) (files string, trusted *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	names := []string{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	for i, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(names[i], pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted = x509.NewCertPool()
	trusted.AddCert(certificate)
	return strings.Join(names, " "), trusted
}

// connector asks for a WebSocket by extended CONNECT. stream is nil unless the status is 200.
type connector func(t *testing.T, path, raw string) (status int, s stream)

func (s *site) connectRequest(ctx context.Context, t *testing.T, path, raw string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodConnect, s.url(path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	r.Header.Set("Sec-Websocket-Version", "13")
	return r
}

// overHTTP3 connects by RFC 9220, each time on a stream of the same connection.
func (s *site) overHTTP3(config *tls.Config) connector {
	s.t.Helper()
	config = http3.ConfigureTLSConfig(config)
	conn, err := quic.DialAddr(s.t.Context(), s.addr, config, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := new(http3.Transport).NewClientConn(conn)
	s.t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return func(t *testing.T, path, raw string) (int, stream) {
		t.Helper()
		str, err := client.OpenRequestStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := s.connectRequest(t.Context(), t, path, raw)
		r.Proto = "websocket"
		if err := str.SendRequestHeader(r); err != nil {
			t.Fatal(err)
		}
		_ = str.SetDeadline(time.Now().Add(20 * time.Second))
		resp, err := str.ReadResponse() //nolint:bodyclose // it is the stream
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			return resp.StatusCode, nil
		}
		return resp.StatusCode, &http3Stream{str}
	}
}

type http3Stream struct{ *http3.RequestStream }

// Close abandons the stream, as a browser tab that is closed does.
func (s *http3Stream) Close() error {
	s.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	s.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
	return nil
}

// overHTTP2 connects by RFC 8441.
func (s *site) overHTTP2(config *tls.Config) connector {
	// That of net/http does not send what it takes for a header field with a colon.
	client := &http2.Transport{TLSClientConfig: config.Clone()} //nolint:staticcheck // deprecated for that one
	s.t.Cleanup(client.CloseIdleConnections)                    //nolint:staticcheck // the same
	var transport http.RoundTripper = client
	return func(t *testing.T, path, raw string) (int, stream) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		r := s.connectRequest(ctx, t, path, raw)
		r.Header[":protocol"] = []string{"websocket"}
		body, to := io.Pipe()
		r.Body, r.ContentLength = body, -1
		resp, err := transport.RoundTrip(r)
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 {
			t.Fatalf("got %s", resp.Proto)
		}
		if resp.StatusCode != http.StatusOK {
			cancel()
			_ = resp.Body.Close()
			return resp.StatusCode, nil
		}
		return resp.StatusCode, &http2Stream{PipeWriter: to, body: resp.Body, cancel: cancel}
	}
}

type http2Stream struct {
	*io.PipeWriter
	body   io.ReadCloser
	cancel context.CancelFunc
}

func (s *http2Stream) Read(p []byte) (int, error) { return s.body.Read(p) }

func (s *http2Stream) Close() error {
	s.cancel()
	return errors.Join(s.PipeWriter.Close(), s.body.Close())
}

// A test that hangs is ended by the package's own timeout.
func (s *http2Stream) SetDeadline(time.Time) error     { return nil }
func (s *http2Stream) SetReadDeadline(time.Time) error { return nil }

func TestWebSocketsOverHTTP3AreFollowed(t *testing.T) {
	s, api, config := startSecure(t, "leeway 0s")
	testConnect(t, s, api, s.overHTTP3(config))
}

func TestWebSocketsOverHTTP2AreFollowed(t *testing.T) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		// It is read when the process starts.
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.timeout=100s")
		cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	s, api, config := startSecure(t, "leeway 0s")
	testConnect(t, s, api, s.overHTTP2(config))
}

func TestWebSocketsOverHTTP3AreLeftAloneWhereThatIsWanted(t *testing.T) {
	s, api, config := startSecure(t, "on_revoked ignore")
	p := s.login(42)
	_, stream := s.overHTTP3(config)(t, "/ws", p.Access)
	if stream == nil {
		t.Fatal("refused")
	}
	k := &socket{t: t, conn: stream, from: stream}
	k.works("hello")
	s.logout(p.Access)
	k.works("still here")
	_ = stream.Close()
	<-api.ends
}

func TestLogoutEndsStreamsOfEveryProtocol(t *testing.T) {
	s, api, config := startSecure(t, "")
	overTCP, overQUIC := s.client.Transport, &http3.Transport{TLSClientConfig: config}
	defer overQUIC.Close()
	for _, c := range []struct {
		transport http.RoundTripper
		major     int
	}{{overTCP, 2}, {overQUIC, 3}} {
		s.client.Transport = c.transport
		p := s.login(42)
		resp, body := s.events(p.Access)
		if resp.ProtoMajor != c.major {
			t.Fatalf("got %s", resp.Proto)
		}
		s.logout(p.Access)
		wantBroken(t, body)
		_ = resp.Body.Close()
		if path := <-api.left; path != "/events" {
			t.Errorf("%s was abandoned", path)
		}
		s.wantNothingLeft()
	}
	s.client.Transport = overTCP
}

// testConnect tests what holds for every WebSocket that is no connection of its own.
func testConnect(t *testing.T, s *site, api *liveAPI, connect connector) {
	t.Helper()
	open := func(t *testing.T, raw string) *socket {
		t.Helper()
		status, stream := connect(t, "/ws", raw)
		if stream == nil {
			t.Fatalf("answered with %d", status)
		}
		k := &socket{t: t, conn: stream, from: stream}
		k.works("hello")
		return k
	}

	t.Run("frames", func(t *testing.T) {
		k := open(t, s.login(42).Access)
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		for _, f := range []ws.Frame{
			ws.NewTextFrame([]byte("grüße")), ws.NewBinaryFrame(large), ws.NewTextFrame(nil),
			ws.NewFrame(ws.OpText, false, []byte("a")), ws.NewFrame(ws.OpContinuation, true, []byte("b")),
		} {
			if got := k.echoes(f); got.Header.OpCode != f.Header.OpCode || got.Header.Fin != f.Header.Fin || !bytes.Equal(got.Payload, f.Payload) {
				t.Errorf("%+v came back as %+v", f.Header, got.Header)
			}
		}
		if got := k.echoes(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))); got.Header.OpCode != ws.OpClose {
			t.Errorf("close: came back as %+v", got.Header)
		}
		if _, err := readFrame(k.from); !errors.Is(err, io.EOF) {
			t.Errorf("after the close frame: %v", err)
		}
		if err := <-api.ends; err != closeFrameError(1000) { //nolint:errorlint // it is the value
			t.Errorf("the upstream got %v", err)
		}
		s.wantNothingLeft()
	})
	t.Run("logout", func(t *testing.T) {
		p := s.login(42)
		k, other := open(t, p.Access), open(t, s.login(43).Access)
		s.wantWatched(2)
		s.logout(p.Access)
		k.wantCut("revoked")
		api.endsAbnormally(t)
		other.works("still here")
		_ = other.conn.Close()
		api.endsAbnormally(t)
		s.wantNothingLeft()
		if status, _ := connect(t, "/ws", p.Access); status != http.StatusUnauthorized {
			t.Errorf("a revoked token: answered with %d", status)
		}
	})
	t.Run("expiry", func(t *testing.T) {
		now := time.Now()
		k := open(t, sign(t, jwt.MapClaims{"sub": "43", "jti": "short", "iat": now.Unix(), "exp": now.Unix() + 3}))
		k.wantCut("expired")
		api.endsAbnormally(t)
		s.wantNothingLeft()
	})
	t.Run("logout during the handshake", func(t *testing.T) {
		p := s.login(42)
		answered := make(chan int, 1)
		go func() {
			status, _ := connect(t, "/poll", p.Access)
			answered <- status
		}()
		s.wantWatched(1)
		s.logout(p.Access)
		if status := <-answered; status != http.StatusUnauthorized {
			t.Errorf("answered with %d", status)
		}
		<-api.left
		s.wantNothingLeft()
	})
	t.Run("client that does not read", func(t *testing.T) {
		p := s.login(42)
		k := open(t, p.Access)
		flooded := k.flood()
		s.logout(p.Access)
		api.endsAbnormally(t)
		s.wantNothingLeft()
		_ = k.conn.Close()
		<-flooded
	})
	t.Run("frame that is forbidden", func(t *testing.T) {
		k := open(t, s.login(42).Access)
		if err := ws.WriteFrame(k.conn, ws.NewTextFrame([]byte("not masked"))); err != nil {
			t.Fatal(err)
		}
		f, err := readFrame(k.from)
		if code, _ := ws.ParseCloseFrameData(f.Payload); err != nil || f.Header.OpCode != ws.OpClose || code != ws.StatusProtocolError {
			t.Errorf("got %+v, %v", f.Header, err)
		}
		_ = k.conn.Close()
		api.endsAbnormally(t)
		s.wantNothingLeft()
	})
	t.Run("answer that is no upgrade", func(t *testing.T) {
		// To the client it is one: it must not get frames that nobody follows.
		status, stream := connect(t, "/plain", s.login(42).Access)
		if stream == nil {
			t.Fatalf("answered with %d", status)
		}
		f, err := readFrame(stream)
		if err != nil || f.Header.OpCode != ws.OpClose {
			t.Errorf("got %+v %q, %v", f.Header, f.Payload, err)
		}
		_ = stream.Close()
		s.wantNothingLeft()
	})
	t.Run("refusal of the upstream", func(t *testing.T) {
		if status, _ := connect(t, "/none", s.login(42).Access); status != http.StatusNotFound {
			t.Errorf("answered with %d", status)
		}
		s.wantNothingLeft()
	})
	t.Run("reload", func(t *testing.T) {
		p := s.login(42)
		k := open(t, p.Access)
		s.proxy = fmt.Sprintf("stream_buffer_size %d", 4096)
		s.mustLoad()
		f, err := readFrame(k.from)
		if code, _ := ws.ParseCloseFrameData(f.Payload); err != nil || f.Header.OpCode != ws.OpClose || code != ws.StatusGoingAway {
			t.Errorf("got %+v, %v", f.Header, err)
		}
		if err := <-api.ends; err != closeFrameError(ws.StatusGoingAway) { //nolint:errorlint // it is the value
			t.Errorf("the upstream got %v", err)
		}
		_ = k.conn.Close()
		s.wantNothingLeft()
	})
}
