package exampleapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

// clock is a time that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newAPI(t *testing.T) (*Handler, *clock) {
	t.Helper()
	c := &clock{time.Date(2025, 1, 15, 12, 0, 0, 987654321, time.FixedZone("", 3600)).Add(time.Hour)}
	h, err := New(Options{Secret: testSecret, Clients: demoClients, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return h, c
}

func send(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || w.Body.String() != body {
		t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, status, body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	if cc := w.Header().Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control %q", cc)
	}
	if auth := w.Header().Get("WWW-Authenticate"); (status == http.StatusUnauthorized) != (auth != "") {
		t.Errorf("status %d with WWW-Authenticate %q", status, auth)
	}
}

func unauthorizedBody(message string) string {
	return `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"` + message + `"}}`
}

func validationBody(message string) string {
	return `{"error":{"name":"ValidationException","code":"VALIDATION_FAILURE","message":"` + message + `"}}`
}

// login returns the data of a successful login of the first client.
func login(t *testing.T, h http.Handler) pair {
	t.Helper()
	return pairOf(t, send(h, http.MethodPost, "/auth/login", `{"username":"demo-key","password":"demo-secret"}`))
}

func pairOf(t *testing.T, w *httptest.ResponseRecorder) pair {
	t.Helper()
	var answer struct{ Data pair }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("no pair of tokens: %d %s (%v)", w.Code, w.Body, err)
	}
	return answer.Data
}

func TestLoginAnswersInTheDocumentedFormat(t *testing.T) {
	h, _ := newAPI(t)
	w := send(h, http.MethodPost, "/auth/login", `{"username":"demo-key","password":"demo-secret"}`,
		"Content-Type", "application/json; charset=utf-8")
	p := pairOf(t, w)
	wantAnswer(t, w, http.StatusOK, `{"success":true,"data":{"access_token":"`+p.AccessToken+`","refresh_token":"`+p.RefreshToken+
		`","access_expires_at":"2025-01-15T13:00:00Z","refresh_expires_at":"2025-01-22T12:00:00Z","client_id":42}}`)
}

func TestTokensCarryTheDocumentedClaims(t *testing.T) {
	h, c := newAPI(t)
	p := login(t, h)
	seen := make(map[string]bool)
	for _, tc := range []struct {
		token, kind string
		lifetime    time.Duration
	}{{p.AccessToken, "access", time.Hour}, {p.RefreshToken, "refresh", 168 * time.Hour}} {
		got := jwt.MapClaims{}
		tok, err := jwt.ParseWithClaims(tc.token, got, func(*jwt.Token) (any, error) { return testSecret, nil }, jwt.WithTimeFunc(c.now))
		if err != nil {
			t.Fatal(err)
		}
		iat, exp := float64(c.t.Unix()), float64(c.t.Add(tc.lifetime).Unix())
		if tok.Method.Alg() != "HS256" || len(got) != 5 || got["sub"] != "42" || got["iat"] != iat || got["exp"] != exp || got["type"] != tc.kind {
			t.Errorf("%s token: %v %v", tc.kind, tok.Header, got)
		}
		jti, _ := got["jti"].(string)
		if len(jti) < 20 || seen[jti] {
			t.Errorf("%s token: jti %q is short or not unique", tc.kind, jti)
		}
		seen[jti] = true
	}
}

func TestLoginRefusals(t *testing.T) {
	h, _ := newAPI(t)
	pad := strings.Repeat("x", maxBody)
	for name, tc := range map[string]struct {
		body, contentType string
		status            int
		want              string
	}{
		"wrong secret":      {`{"username":"demo-key","password":"other-secret"}`, "application/json", 401, unauthorizedBody("Invalid credentials")},
		"unknown key":       {`{"username":"nobody","password":"demo-secret"}`, "application/json", 401, unauthorizedBody("Invalid credentials")},
		"no username":       {`{"password":"demo-secret"}`, "application/json", 400, validationBody("username is required")},
		"empty password":    {`{"username":"demo-key","password":""}`, "application/json", 400, validationBody("password is required")},
		"null password":     {`{"username":"demo-key","password":null}`, "application/json", 400, validationBody("password is required")},
		"password a number": {`{"username":"demo-key","password":1}`, "application/json", 400, validationBody("password must be a string")},
		"name in capitals":  {`{"Username":"demo-key","password":"demo-secret"}`, "application/json", 400, validationBody("username is required")},
		"no body":           {``, "", 400, validationBody("Request body must be a JSON object")},
		"an array":          {`[]`, "application/json", 400, validationBody("Request body must be a JSON object")},
		"null":              {`null`, "application/json", 400, validationBody("Request body must be a JSON object")},
		"two values":        {`{"username":"demo-key","password":"demo-secret"}{}`, "application/json", 400, validationBody("Request body must be a JSON object")},
		"a form":            {`username=demo-key&password=demo-secret`, "application/x-www-form-urlencoded", 400, validationBody("Content-Type must be application/json")},
		"bad content type":  {`{}`, ";", 400, validationBody("Content-Type must be application/json")},
		"too large":         {`{"username":"` + pad + `"}`, "application/json", 413, `{"error":{"name":"BadRequestError","code":"BAD_REQUEST","message":"Request body too large"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, send(h, http.MethodPost, "/auth/login", tc.body, "Content-Type", tc.contentType), tc.status, tc.want)
		})
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	h, _ := newAPI(t)
	w := send(h, http.MethodPost, "/auth/login", `{"x":{"y":[1]},"username":"other-key","password":"other-secret"}`)
	if p := pairOf(t, w); p.ClientID != SecondID {
		t.Errorf("client_id %d", p.ClientID)
	}
}

func TestRefreshGivesANewPairAndForgetsNothing(t *testing.T) {
	h, c := newAPI(t)
	old := login(t, h)
	c.t = c.t.Add(time.Minute)
	w := send(h, http.MethodPost, "/auth/refresh", `{"refresh_token":"`+old.RefreshToken+`"}`)
	p := pairOf(t, w)
	wantAnswer(t, w, http.StatusOK, `{"success":true,"data":{"access_token":"`+p.AccessToken+`","refresh_token":"`+p.RefreshToken+
		`","access_expires_at":"2025-01-15T13:01:00Z","refresh_expires_at":"2025-01-22T12:01:00Z","client_id":42}}`)

	// Stateless as it is, the API takes the old refresh token again.
	pairOf(t, send(h, http.MethodPost, "/auth/refresh", `{"refresh_token":"`+old.RefreshToken+`"}`))
}

func TestRefreshRefusals(t *testing.T) {
	h, c := newAPI(t)
	p := login(t, h)
	for name, tc := range map[string]struct {
		body   string
		age    time.Duration
		status int
		want   string
	}{
		"no token":        {`{}`, 0, 400, validationBody("refresh_token is required")},
		"not a token":     {`{"refresh_token":"x"}`, 0, 401, unauthorizedBody("Invalid token")},
		"an access token": {`{"refresh_token":"` + p.AccessToken + `"}`, 0, 401, unauthorizedBody("Invalid token")},
		"expired":         {`{"refresh_token":"` + p.RefreshToken + `"}`, 168 * time.Hour, 401, unauthorizedBody("Token expired")},
	} {
		t.Run(name, func(t *testing.T) {
			start := c.t
			defer func() { c.t = start }()
			c.t = c.t.Add(tc.age)
			wantAnswer(t, send(h, http.MethodPost, "/auth/refresh", tc.body), tc.status, tc.want)
		})
	}
}

func TestCardsAreTheClientsOwn(t *testing.T) {
	h, _ := newAPI(t)
	p := login(t, h)
	want := `{"success":true,"data":[{"id":"42-1001","name":"Bookshop","value":"25.00","currency":"EUR"},{"id":"42-1002","name":"Coffee","value":"10.00","currency":"EUR"}]}`
	wantAnswer(t, send(h, http.MethodGet, "/v1/cards", "", "Authorization", "Bearer "+p.AccessToken), http.StatusOK, want)
	wantAnswer(t, send(h, http.MethodGet, "/v1/cards", "", "Authorization", "bearer "+p.AccessToken), http.StatusOK, want)
}

func TestCardsRefusals(t *testing.T) {
	h, c := newAPI(t)
	p := login(t, h)
	sign := func(method jwt.SigningMethod, key any, cl jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(method, cl).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "42", "exp": c.t.Add(time.Hour).Unix(), "type": "access"}
	}
	without := func(name string) jwt.MapClaims {
		cl := good()
		delete(cl, name)
		return cl
	}
	stranger := good()
	stranger["sub"] = "44"
	stale := good()
	stale["exp"] = c.t.Unix()
	hs256 := jwt.SigningMethodHS256

	bearer := func(s string) []string { return []string{"Authorization", "Bearer " + s} }
	for name, tc := range map[string]struct {
		header []string
		want   string
	}{
		"no header":         {nil, "Authorization header required"},
		"empty header":      {[]string{"Authorization", ""}, "Authorization header required"},
		"another scheme":    {[]string{"Authorization", "Basic eDp5"}, "Invalid token"},
		"no token":          {[]string{"Authorization", "Bearer"}, "Invalid token"},
		"two headers":       {append(bearer(p.AccessToken), bearer(p.AccessToken)...), "Invalid token"},
		"not a token":       {bearer("x.y.z"), "Invalid token"},
		"a refresh token":   {bearer(p.RefreshToken), "Invalid token"},
		"another key":       {bearer(sign(hs256, []byte(strings.Repeat("k", 32)), good())), "Invalid token"},
		"another algorithm": {bearer(sign(jwt.SigningMethodHS512, testSecret, good())), "Invalid token"},
		"alg none":          {bearer(sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good())), "Invalid token"},
		"no exp":            {bearer(sign(hs256, testSecret, without("exp"))), "Invalid token"},
		"no type":           {bearer(sign(hs256, testSecret, without("type"))), "Invalid token"},
		"no sub":            {bearer(sign(hs256, testSecret, without("sub"))), "Invalid token"},
		"unknown client":    {bearer(sign(hs256, testSecret, stranger)), "Invalid token"},
		"expired":           {bearer(sign(hs256, testSecret, stale)), "Token expired"},
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer(t, send(h, http.MethodGet, "/v1/cards", "", tc.header...), http.StatusUnauthorized, unauthorizedBody(tc.want))
		})
	}
}

func TestThereIsNoLogout(t *testing.T) {
	h, _ := newAPI(t)
	auth := "Bearer " + login(t, h).AccessToken
	w := send(h, http.MethodPost, "/auth/logout", "", "Authorization", auth)
	wantAnswer(t, w, http.StatusNotFound, `{"error":{"name":"NotFoundError","code":"NOT_FOUND","message":"Not found"}}`)
	if w := send(h, http.MethodGet, "/v1/cards", "", "Authorization", auth); w.Code != http.StatusOK {
		t.Errorf("the token stopped working: %d", w.Code)
	}
}

func TestPathsHaveOneSpelling(t *testing.T) {
	h, _ := newAPI(t)
	for _, path := range []string{"/", "/auth/login/", "//auth/login", "/auth/../health", "/Health"} {
		if w := send(h, http.MethodPost, path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestMethodsOtherThanTheRoutesAreRefused(t *testing.T) {
	h, _ := newAPI(t)
	for path, want := range map[string]string{"/auth/login": "POST", "/auth/refresh": "POST", "/v1/cards": "GET, HEAD", "/v1/events": "GET, HEAD", "/health": "GET, HEAD"} {
		w := send(h, http.MethodPatch, path, "")
		wantAnswer(t, w, http.StatusMethodNotAllowed, `{"error":{"name":"MethodNotAllowedError","code":"METHOD_NOT_ALLOWED","message":"Method not allowed"}}`)
		if got := w.Header().Get("Allow"); got != want {
			t.Errorf("%s: Allow %q, want %q", path, got, want)
		}
	}
}

func TestHealthIsPublic(t *testing.T) {
	h, _ := newAPI(t)
	wantAnswer(t, send(h, http.MethodGet, "/health", ""), http.StatusOK, `{"success":true,"data":{"status":"ok"}}`)
	if w := send(h, http.MethodHead, "/health", ""); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestBadOptionsAreErrors(t *testing.T) {
	good := Options{Secret: testSecret, Clients: demoClients}
	for name, tc := range map[string]struct {
		change func(*Options)
		want   error
	}{
		"short secret":   {func(o *Options) { o.Secret = testSecret[:31] }, ErrShortSecret},
		"no clients":     {func(o *Options) { o.Clients = nil }, ErrNoClients},
		"no key":         {func(o *Options) { o.Clients = map[string]Client{"": {"s", 1}} }, ErrBadClient},
		"no secret":      {func(o *Options) { o.Clients = map[string]Client{"k": {"", 1}} }, ErrBadClient},
		"no ID":          {func(o *Options) { o.Clients = map[string]Client{"k": {"s", 0}} }, ErrBadClient},
		"an ID twice":    {func(o *Options) { o.Clients = map[string]Client{"k": {"s", 1}, "l": {"s", 1}} }, ErrBadClient},
		"short lifetime": {func(o *Options) { o.AccessLifetime = time.Millisecond }, ErrLifetime},
	} {
		o := good
		tc.change(&o)
		if h, err := New(o); !errors.Is(err, tc.want) || h != nil {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}
