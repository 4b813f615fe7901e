package caddymodule_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The answers that the API documents, to the byte.
const (
	bodyTerminated     = `{"success":true,"data":null,"errorCode":"","message":"Session terminated."}`
	bodyInvalidSession = `{"success":false,"errorCode":"InvalidSession","message":"The session token is invalid or has expired.","data":null}`
	bodyInvalidAPIKey  = `{"success":false,"errorCode":"InvalidAPIKey","message":"The provided API key is not valid or has been revoked.","data":null}`
	bodyReset          = `{"success":true,"data":true}`
)

// The API keys that the API takes, of the users 4821 and 4822.
const (
	ecgridKey      = "b6f0c1d2e3a4958677685940312f1e0d"
	ecgridOtherKey = "0d1e2f3140596877867594a3e2d1c0f6"
)

// ecgridAPI is an upstream that does what the ECGrid API documents, but for the logout. It
// remembers nothing of tokens and sessions: what ends one is the sidecar alone.
//
// The users user-4821 and user-4822 have the passwords secret-4821 and secret-4822.
type ecgridAPI struct {
	mux *http.ServeMux

	mu      sync.Mutex // guards what follows
	seen    []http.Header
	resets  []string
	logouts int
}

var ecgridUsers = map[string]int{"user-4821": 4821, "user-4822": 4822}

// newECGrid returns the API. The test fails if a logout reaches it.
func newECGrid(t *testing.T) *ecgridAPI {
	t.Helper()
	a := &ecgridAPI{mux: http.NewServeMux()}
	a.mux.HandleFunc("POST /v2/auth/login", a.login)
	a.mux.HandleFunc("POST /v2/auth/refresh", a.refresh)
	a.mux.HandleFunc("POST /v2/auth/session", a.authenticated(func(w http.ResponseWriter, _ *http.Request, user int) {
		writeECGrid(w, map[string]int{"userId": user})
	}))
	a.mux.HandleFunc("GET /v2/mailboxes", a.authenticated(a.mailboxes))
	a.mux.HandleFunc("POST /v2/users/reset/{id}", a.authenticated(a.reset))
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.logouts > 0 {
			t.Errorf("%d logouts reached the API", a.logouts)
		}
	})
	return a
}

// ServeHTTP implements http.Handler.
func (a *ecgridAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	isLogout := strings.Contains(strings.ToLower(r.URL.Path), "logout")
	a.mu.Lock()
	a.seen = append(a.seen, r.Header.Clone())
	if isLogout {
		a.logouts++
	}
	a.mu.Unlock()
	if isLogout {
		http.Error(w, "the API has no logout", http.StatusNotImplemented)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// requests returns the headers of all requests that came through, in their order.
func (a *ecgridAPI) requests() []http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]http.Header(nil), a.seen...)
}

// lastHeader returns the header of the last request that came through.
func (a *ecgridAPI) lastHeader(t *testing.T) http.Header {
	t.Helper()
	seen := a.requests()
	if len(seen) == 0 {
		t.Fatal("no request came through")
	}
	return seen[len(seen)-1]
}

// resetUsers returns the identifiers of the users that were reset, in their order.
func (a *ecgridAPI) resetUsers() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.resets...)
}

// login takes the name under each of the fields that the API's pages have.
func (a *ecgridAPI) login(w http.ResponseWriter, r *http.Request) {
	var fields struct{ Login, Email, Username, Password string }
	if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
		refuseECGrid(w, http.StatusBadRequest, "InvalidParameter", "The request body is missing or is not valid.")
		return
	}
	name := fields.Login + fields.Email + fields.Username
	user, known := ecgridUsers[name]
	if !known || fields.Password != "secret-"+strconv.Itoa(user) {
		refuseECGrid(w, http.StatusUnauthorized, "InvalidCredentials", "The login or the password is wrong.")
		return
	}
	a.issue(w, user)
}

func (a *ecgridAPI) refresh(w http.ResponseWriter, r *http.Request) {
	var fields struct{ Token, RefreshToken string }
	if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
		refuseECGrid(w, http.StatusBadRequest, "InvalidParameter", "The request body is missing or is not valid.")
		return
	}
	user, ok := a.userOf(fields.Token + fields.RefreshToken)
	if !ok {
		refuseECGrid(w, http.StatusUnauthorized, "InvalidSession", "The session token is invalid or has expired.")
		return
	}
	a.issue(w, user)
}

// mailboxes answers with the credentials that have come through.
func (a *ecgridAPI) mailboxes(w http.ResponseWriter, r *http.Request, _ int) {
	writeECGrid(w, map[string]string{
		"authorization": r.Header.Get("Authorization"),
		"apiKey":        r.Header.Get("X-API-Key"),
		"sessionId":     r.Header.Get("X-Session-ID"),
	})
}

func (a *ecgridAPI) reset(w http.ResponseWriter, r *http.Request, _ int) {
	a.mu.Lock()
	a.resets = append(a.resets, r.PathValue("id"))
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(bodyReset))
}

// issue answers with a new token of a user, good for an hour.
func (a *ecgridAPI) issue(w http.ResponseWriter, user int) {
	now := time.Now()
	expires := now.Add(time.Hour).UTC().Truncate(time.Second)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": strconv.Itoa(user), "jti": rand.Text(), "iat": now.Unix(), "exp": expires.Unix(),
	}).SignedString([]byte(testSecret))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeECGrid(w, struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expiresAt"`
		UserID    int       `json:"userId"`
	}{token, expires, user})
}

// userOf returns whose token this is.
func (a *ecgridAPI) userOf(raw string) (int, bool) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) { return []byte(testSecret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil {
		return 0, false
	}
	user, err := strconv.Atoi(claims.Subject)
	return user, err == nil
}

// authenticated lets a request through to next with a good token or API key only.
func (a *ecgridAPI) authenticated(next func(w http.ResponseWriter, r *http.Request, user int)) http.HandlerFunc {
	keys := map[string]int{ecgridKey: 4821, ecgridOtherKey: 4822}
	return func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("X-API-Key"); key != "" {
			user, ok := keys[key]
			if !ok {
				refuseECGrid(w, http.StatusUnauthorized, "InvalidAPIKey", "The provided API key is not valid or has been revoked.")
				return
			}
			next(w, r, user)
			return
		}
		raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		user, ok := a.userOf(raw)
		if !ok {
			refuseECGrid(w, http.StatusUnauthorized, "InvalidSession", "The session token is invalid or has expired.")
			return
		}
		next(w, r, user)
	}
}

// writeECGrid answers with the envelope of a success.
func writeECGrid(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, struct {
		Success   bool   `json:"success"`
		Data      any    `json:"data"`
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
	}{Success: true, Data: data})
}

// refuseECGrid answers with the envelope of an error.
func refuseECGrid(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeJSON(w, struct {
		Success   bool   `json:"success"`
		ErrorCode string `json:"errorCode"`
		Message   string `json:"message"`
		Data      any    `json:"data"`
	}{ErrorCode: code, Message: message})
}

func writeJSON(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil { // the bodies are those above
		panic(err)
	}
	_, _ = w.Write(text)
}

// startECGrid runs Caddy with the preset and the given options in front of the API.
func startECGrid(t *testing.T, options string) (*site, *ecgridAPI) {
	t.Helper()
	api := newECGrid(t)
	return start(t, api, "api ecgrid\nsecret "+testSecret+"\n"+options), api
}

// loginECGrid returns a new token of a user.
func (s *site) loginECGrid(user int) string {
	s.t.Helper()
	id := strconv.Itoa(user)
	a := s.do("POST", "/v2/auth/login", `{"login":"user-`+id+`","password":"secret-`+id+`"}`)
	if a.status != http.StatusOK {
		s.t.Fatalf("login: %d %s", a.status, a.body)
	}
	return ecgridToken(s.t, a.body)
}

// ecgridToken returns the token of an answer to a login or a refresh.
func ecgridToken(t *testing.T, body string) string {
	t.Helper()
	var envelope struct {
		Data struct{ Token string }
	}
	if err := json.Unmarshal([]byte(body), &envelope); err != nil || envelope.Data.Token == "" {
		t.Fatalf("no token in %s (%v)", body, err)
	}
	return envelope.Data.Token
}
