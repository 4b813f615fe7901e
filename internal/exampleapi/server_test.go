package exampleapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stream is a ResponseWriter whose body is read by the test as it is written.
type stream struct {
	http.ResponseWriter
	body io.Writer
}

func (s stream) Write(b []byte) (int, error) { return s.body.Write(b) }
func (s stream) Flush()                      {}

func TestEventsTickEachSecondAndOutliveTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Options{Secret: testSecret, Clients: demoClients, AccessLifetime: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
		r.Header.Set("Authorization", "Bearer "+login(t, h).AccessToken)
		pr, pw := io.Pipe()
		w := httptest.NewRecorder()
		go func() {
			h.ServeHTTP(stream{w, pw}, r)
			pw.Close()
		}()

		start, lines := time.Now(), bufio.NewReader(pr)
		for n := range 5 {
			at := start.Add(time.Duration(n) * time.Second)
			want := "id: " + string(rune('1'+n)) + "\nevent: tick\ndata: {\"client_id\":42,\"time\":\"" + at.UTC().Format(time.RFC3339) + "\"}\n\n"
			var got strings.Builder
			for range 4 {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString(line)
			}
			if got.String() != want || !time.Now().Equal(at) {
				t.Errorf("after %v: %q, want %q", time.Since(start), got.String(), want)
			}
		}
		cancel()
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("after the end: %q, %v", rest, err)
		}
		if ct := w.Header().Get("Content-Type"); ct != "text/event-stream" {
			t.Errorf("Content-Type %q", ct)
		}
	})
}

func TestEventsAnswerHEADWithoutAStream(t *testing.T) {
	h, _ := newAPI(t)
	w := send(h, http.MethodHead, "/v1/events", "", "Authorization", "Bearer "+login(t, h).AccessToken)
	if w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestServeStopsWithAStreamOpen(t *testing.T) {
	h, err := New(Options{Secret: testSecret, Clients: demoClients})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, h) }()

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+login(t, h).AccessToken)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream was cut, not ended: %v", err)
	}
}

func TestServeReportsWhyItCouldNotServe(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := Serve(t.Context(), ln, http.NotFoundHandler()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
