package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	jsonv2 "github.com/go-json-experiment/json"

	"example.com/caddy-token-auth/revocation"
)

// maxAdminBody bounds a request of the admin API: header fields with several tokens of
// the greatest length.
const maxAdminBody = 64 << 10

// adminError is an error of the admin API. Its text is told to the caller and logged; it
// holds nothing of a credential.
func adminError(status int, err error) error {
	return caddy.APIError{HTTPStatus: status, Err: err, Message: err.Error()}
}

// unavailable says that the instance cannot do it now.
func unavailable(w http.ResponseWriter, err error) error {
	w.Header().Set("Retry-After", retryAfter)
	return adminError(http.StatusServiceUnavailable, err)
}

var (
	errNotPost     = errors.New("want POST")
	errNotJSONType = errors.New("want a body of the type application/json, without content encoding")
	errAdminBody   = errors.New("the body is not a JSON object with the members that this takes, each once")
	errAdminSize   = fmt.Errorf("the body is larger than %d bytes", maxAdminBody)
)

// readAdminRequest reads the JSON body of a request into to. What the body says, it says
// once and in one spelling. The media type is enforced because browsers send any other
// one to another origin without asking it first.
func readAdminRequest(w http.ResponseWriter, r *http.Request, to any) error {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return adminError(http.StatusMethodNotAllowed, errNotPost)
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 || len(r.Header["Content-Encoding"]) > 0 {
		return adminError(http.StatusUnsupportedMediaType, errNotJSONType)
	}
	if media, _, err := mime.ParseMediaType(types[0]); err != nil || media != "application/json" {
		return adminError(http.StatusUnsupportedMediaType, errNotJSONType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return adminError(http.StatusRequestEntityTooLarge, errAdminSize)
	}
	if err != nil {
		return adminError(http.StatusBadRequest, errors.New("the body was not received to its end"))
	}
	// The error would quote the body.
	if err := jsonv2.Unmarshal(body, to, jsonv2.RejectUnknownMembers(true)); err != nil {
		return adminError(http.StatusBadRequest, errAdminBody)
	}
	return nil
}

// writeAdminAnswer answers with JSON.
func writeAdminAnswer(w http.ResponseWriter, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(body, '\n'))
	return err
}

var errStarting = errors.New("no configuration is running yet")

// runningApp returns the app of the running configuration, and its sites.
func runningApp(w http.ResponseWriter) (*App, []adminSite, error) {
	active := caddy.ActiveContext()
	if active.Context == nil {
		return nil, nil, unavailable(w, errStarting)
	}
	module, err := active.AppIfConfigured("token_auth")
	if err != nil {
		return nil, nil, adminError(http.StatusNotFound, errNoApp)
	}
	app := module.(*App)
	return app, app.sites(active), nil
}

// entryAnswer is an entry as the admin API tells it.
type entryAnswer struct {
	// Scope is token, session or client; rotated for a token that was exchanged, issued
	// for one that survives a cut-off, known for one that was seen being issued.
	Scope string `json:"scope"`
	// Kind is "api_key" for a client that is one, "" for what tokens name.
	Kind  string `json:"kind,omitempty"`
	Realm string `json:"realm"`
	ID    string `json:"id"`
	// RealmBytes and IDBytes take the place of what is no UTF-8.
	RealmBytes []byte `json:"realm_base64,omitempty"`
	IDBytes    []byte `json:"id_base64,omitempty"`
	// Session and Client are whose token it is (known).
	Session string `json:"session,omitempty"`
	Client  string `json:"client,omitempty"`
	// At is the cut-off, or when the token was revoked.
	At        time.Time `json:"at"`
	KeptUntil time.Time `json:"kept_until"`
}

// scopeRotated is the name of the scope of entries for tokens that were exchanged.
const scopeRotated = "rotated"

func answerOf(e revocation.Entry) entryAnswer {
	a := entryAnswer{Scope: e.Scope.String(), At: e.At.UTC(), KeptUntil: keptUntil(e)}
	if e.Rotated() {
		a.Scope = scopeRotated
	}
	if a.Realm = e.Realm; !utf8.ValidString(e.Realm) {
		a.Realm, a.RealmBytes = "", []byte(e.Realm)
	}
	kind, id := nameOf(e)
	if kind == revocation.KindAPIKey {
		a.Kind = kind.String()
	}
	if a.ID = id; !utf8.ValidString(id) {
		a.ID, a.IDBytes = "", []byte(id)
	}
	session, client := e.Owner()
	a.Session, a.Client = valid(session), valid(client)
	return a
}

// nameOf is what an entry is about.
func nameOf(e revocation.Entry) (revocation.Kind, string) {
	if e.Scope == revocation.ScopeClient {
		return e.Client()
	}
	return revocation.KindSubject, e.ID
}

// keptUntil is when stores forget an entry.
func keptUntil(e revocation.Entry) time.Time { return time.Unix(int64(e.ExpirySecond()), 0).UTC() }

// valid is text for JSON.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return fmt.Sprintf("%q", text)
}
