package caddymodule

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// listRequest asks for entries. What it names, an entry must have.
type listRequest struct {
	// Scopes are the scopes of entries, as entryAnswer names them. Default: token, session
	// and client, which are the revocations.
	Scopes []string `json:"scopes"`
	Realm  *string  `json:"realm"`
	Client string   `json:"client"`
	// Session and Token are identifiers.
	Session string `json:"session"`
	Token   string `json:"token"`
	// Limit is how many entries a page has. Without it there is one, with all of them, in
	// no particular order.
	Limit int `json:"limit"`
	// After is the "next" of the page before.
	After string `json:"after"`
}

// listEnd is the last line of a list. A list without it is not complete.
type listEnd struct {
	// Entries is how many lines came before.
	Entries int `json:"entries"`
	// Next is where the next page begins, "" if there is none.
	Next string `json:"next,omitempty"`
	// Error says why the list ends early.
	Error string `json:"error,omitempty"`
}

const (
	// maxPage bounds the memory of a page: an entry takes 1.1 KB at most.
	maxPage = 10_000
	// maxLists is how many lists are read at once: each reads the whole store.
	maxLists = 4
	// listWriteTimeout is how long a reader of a list may keep it waiting.
	listWriteTimeout = 30 * time.Second
)

// listing is taken by each list that is being read.
var listing = make(chan struct{}, maxLists)

var errListing = fmt.Errorf("%d lists are being read already", maxLists)

// serveList answers with live entries as lines of JSON, in bounded memory.
func (*adminAPI) serveList(w http.ResponseWriter, r *http.Request) error {
	var asked listRequest
	if err := readAdminRequest(w, r, &asked); err != nil {
		return err
	}
	match, after, err := asked.parse()
	if err != nil {
		return adminError(http.StatusBadRequest, err)
	}
	app, _, err := runningApp(w)
	if err != nil {
		return err
	}
	list := app.list(r.Context())
	if list == nil {
		return unavailable(w, revocation.ErrClosed)
	}
	select {
	case listing <- struct{}{}:
		defer func() { <-listing }()
	default:
		return unavailable(w, errListing)
	}
	if asked.Limit > 0 {
		page, more, err := list.Page(r.Context(), after, asked.Limit, match)
		if err != nil {
			return unavailable(w, err)
		}
		return writePage(w, page, more)
	}
	return streamList(w, r, list, match)
}

// parse checks the request.
func (asked *listRequest) parse() (match func(revocation.Entry) bool, after revocation.Key, err error) {
	wanted := map[string]bool{}
	for _, scope := range asked.Scopes {
		if !slices.Contains(listScopes, scope) {
			return nil, after, fmt.Errorf("unknown scope: want some of %v", listScopes)
		}
		wanted[scope] = true
	}
	if len(wanted) == 0 {
		for _, scope := range listScopes[:3] {
			wanted[scope] = true
		}
	}
	if asked.Limit < 0 || asked.Limit > maxPage {
		return nil, after, fmt.Errorf("limit: want 1 to %d, or none", maxPage)
	}
	if asked.After != "" {
		key, err := hex.DecodeString(asked.After)
		switch {
		case err != nil || len(key) != len(after):
			return nil, after, errors.New("after: want what the page before has as next")
		case asked.Limit == 0:
			return nil, after, errors.New("after: want a limit too")
		}
		after = revocation.Key(key)
	}
	return func(e revocation.Entry) bool { return asked.match(e, wanted) }, after, nil
}

// listScopes are the scopes that can be listed, those that are revocations first.
var listScopes = []string{
	revocation.ScopeToken.String(), revocation.ScopeSession.String(), revocation.ScopeClient.String(),
	scopeRotated, revocation.ScopeIssued.String(), revocation.ScopeKnown.String(),
}

func (asked *listRequest) match(e revocation.Entry, scopes map[string]bool) bool {
	scope := e.Scope.String()
	if e.Rotated() {
		scope = scopeRotated
	}
	if !scopes[scope] || asked.Realm != nil && e.Realm != revocation.CanonicalID(*asked.Realm) {
		return false
	}
	session, client := e.Owner()
	token := ""
	switch e.Scope {
	case revocation.ScopeSession:
		session = e.ID
	case revocation.ScopeClient:
		_, client = e.Client()
	default:
		token = e.ID
	}
	names := func(want, is string) bool { return want == "" || revocation.CanonicalID(want) == is }
	return names(asked.Client, client) && names(asked.Session, session) && names(asked.Token, token)
}

// lineWriter writes lines of JSON to a reader who must keep reading.
type lineWriter struct {
	to       deadlineWriter
	buffered *bufio.Writer
	n        int
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	w.Header().Set("Content-Type", "application/x-ndjson")
	to := deadlineWriter{w, http.NewResponseController(w)}
	return &lineWriter{to: to, buffered: bufio.NewWriterSize(to, 32<<10)}
}

func (l *lineWriter) entry(e revocation.Entry) error {
	l.n++
	return l.line(answerOf(e))
}

func (l *lineWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = l.buffered.Write(append(text, '\n'))
	return err
}

// end writes the last line.
func (l *lineWriter) end(last listEnd) error {
	last.Entries = l.n
	if err := l.line(last); err != nil {
		return err
	}
	if err := l.buffered.Flush(); err != nil {
		return err
	}
	// The connection may have further requests.
	return l.to.control.SetWriteDeadline(time.Time{})
}

// deadlineWriter bounds how long each write may take.
type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (w deadlineWriter) Write(p []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(listWriteTimeout)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

func writePage(w http.ResponseWriter, page []revocation.Entry, more bool) error {
	lines := newLineWriter(w)
	for _, e := range page {
		if err := lines.entry(e); err != nil {
			return nil //nolint:nilerr // the reader has gone
		}
	}
	var last listEnd
	if more {
		key := page[len(page)-1].Key()
		last.Next = hex.EncodeToString(key[:])
	}
	_ = lines.end(last) // if it fails, the reader has gone
	return nil
}

// errReaderGone ends the reading of a list that nobody receives.
var errReaderGone = errors.New("the reader of the list has gone")

func streamList(w http.ResponseWriter, r *http.Request, list *revocation.List, match func(revocation.Entry) bool) error {
	lines := newLineWriter(w)
	err := list.Scan(r.Context(), func(e revocation.Entry) error {
		if match(e) && lines.entry(e) != nil {
			return errReaderGone
		}
		return nil
	})
	var last listEnd
	switch {
	case errors.Is(err, errReaderGone) || r.Context().Err() != nil:
		return nil //nolint:nilerr // nobody is there to be told
	case err != nil:
		last.Error = err.Error() // after the status, which is sent
	}
	_ = lines.end(last) // if it fails, the reader has gone
	return nil
}
