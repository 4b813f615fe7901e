package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// answerPaths says where the answer to a login or refresh has what it issues.
type answerPaths struct {
	access, refresh, client jsonPath
	rotate                  bool
}

func newAnswerPaths(login Login) (answerPaths, error) {
	var paths answerPaths
	for _, p := range []struct {
		text string
		to   *jsonPath
	}{
		{login.Access, &paths.access}, {login.Refresh, &paths.refresh}, {login.Client, &paths.client},
	} {
		var err error
		if *p.to, err = parseJSONPath(p.text); err != nil {
			return answerPaths{}, err
		}
	}
	return paths, nil
}

// errAnswerTooLarge ends an answer that exceeds maxAnswerBody.
var errAnswerTooLarge = errors.New("the upstream's answer is too large to be watched")

// issued is what an answer hands out.
type issued struct {
	access, refresh string // raw tokens, "" if there is none
	client          string // as the answer names it, "" if it does not
}

// read finds what a successful answer issues. An answer that is no JSON issues nothing.
func (paths answerPaths) read(body []byte) (issued, error) {
	var found issued
	for _, p := range []struct {
		path jsonPath
		to   *string
	}{
		{paths.access, &found.access}, {paths.refresh, &found.refresh}, {paths.client, &found.client},
	} {
		if len(p.path) == 0 {
			continue
		}
		var err error
		if *p.to, err = p.path.find(body); err != nil {
			return issued{}, err
		}
	}
	return found, nil
}

// forwardWatched proxies r and holds the answer back. It returns nil, with the
// response written or an error, where there is no answer to judge.
func (h *Handler) forwardWatched(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (*capture, error) {
	// The answer is read here, and the transport undoes compression only if it
	// asked for it itself.
	r.Header.Del("Accept-Encoding")
	// Nor may the client ask for a part of it.
	r.Header.Del("Range")
	r.Header.Del("If-Range")
	answer := newCapture()
	err := h.pass(answer, r, next)
	switch {
	case answer.overflow:
		return nil, h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: errAnswerTooLarge})
	case err != nil:
		return nil, err
	}
	return answer, nil
}

// serveLogin forwards a login. It needs no credential; what it issues is recorded
// where a cut-off would wrongly cover it.
func (h *Handler) serveLogin(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	var since revocation.Mark
	if list := h.app.list(r.Context()); list != nil {
		since = list.Mark()
	}
	answer, err := h.forwardWatched(w, r, next)
	if answer == nil {
		return err
	}
	if answer.succeeded() {
		// An answer that cannot be read issues nothing that we could record.
		found, client, _ := h.learn(r, answer, since)
		if client == "" {
			client = found.client
		}
		if client != "" && !h.addressAllowed(r, client) {
			return h.refuse(w, r, &refusal{reason: dialect.AddressForbidden})
		}
	}
	return answer.release(w)
}

// learn reads an answer and records the issuance of the tokens in it. It returns
// what was found, and the client that the tokens name; an error means that the answer
// cannot be read.
//
// Nothing here can fail the request: a token whose issuance could not be recorded
// is treated by the strict rule, as one that was not seen.
func (h *Handler) learn(r *http.Request, answer *capture, since revocation.Mark) (found issued, client string, err error) {
	if answer.body.Len() == 0 {
		return issued{}, "", nil
	}
	found, err = h.paths.read(answer.body.Bytes())
	if err != nil {
		h.log.Warn("answer that issues tokens cannot be read", zap.Error(err))
		return issued{}, "", err
	}
	for _, raw := range []string{found.access, found.refresh} {
		if raw == "" {
			continue
		}
		t, err := h.verifier.Verify(r.Context(), raw)
		if err != nil {
			h.log.Warn("the API issued a token that does not verify", zap.Error(err))
			continue
		}
		if client == "" {
			client = t.Identity().Client()
		}
		h.recordIssued(r, t, since)
	}
	return found, client, nil
}

func (h *Handler) recordIssued(r *http.Request, t *token.Token, since revocation.Mark) {
	list := h.app.list(r.Context())
	if list == nil {
		return
	}
	ctx, cancel := recordContext(r)
	defer cancel()
	if err := list.Issued(ctx, t.Identity(), since); err != nil {
		h.log.Error("issuance not recorded, the token may be refused if it was issued in the second of a logout", zap.Error(err))
	}
}
