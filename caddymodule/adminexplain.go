package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/introspect"
)

// explainRequest asks how a credential would be judged: a token, or what the header fields
// of a request have.
type explainRequest struct {
	Token   string            `json:"token"`
	Headers map[string]string `json:"headers"`
	// Site is one site, by number or host name. Default: all.
	Site string `json:"site"`
}

// explainAnswer has an explanation for each site.
type explainAnswer struct {
	Sites []explanation `json:"sites"`
}

// explanation is how one site judges a credential. It holds nothing that could be
// presented.
type explanation struct {
	siteName
	// Allowed says that a request with it would be let through, if its address is allowed.
	Allowed bool `json:"allowed"`
	// DryRun says that the site lets requests through in any case.
	DryRun bool `json:"dry_run,omitempty"`
	// Reason of the refusal, as logs and metrics name it.
	Reason string `json:"reason,omitempty"`
	// Check is the one that failed, and Detail says more.
	Check  string `json:"check,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Credential is jwt, opaque, api_key or scheme.
	Credential string `json:"credential,omitempty"`
	// Verified says that it is genuine; Unproven that only the API can tell.
	Verified bool            `json:"verified"`
	Unproven bool            `json:"unproven,omitempty"`
	Identity *identityAnswer `json:"identity,omitempty"`
	// Verdict of the list, and where it has it from: age, cache, summary or store.
	Verdict string `json:"verdict,omitempty"`
	From    string `json:"from,omitempty"`
	// Stored is the verdict by what the store holds now.
	Stored string `json:"stored,omitempty"`
	// Entry is the one that decides. Survives is the one by which the token survives a
	// cut-off.
	Entry    *entryAnswer `json:"entry,omitempty"`
	Survives *entryAnswer `json:"survives,omitempty"`
}

// identityAnswer is what the list knows a credential by.
type identityAnswer struct {
	Realm   string `json:"realm"`
	Token   string `json:"token"`
	Session string `json:"session,omitempty"`
	Client  string `json:"client,omitempty"`
	// Kind is "api_key" where Client is one.
	Kind string `json:"kind,omitempty"`
	// IssuedAt and Expires are left out where nobody knows. Expires includes the leeway.
	IssuedAt time.Time `json:"issued_at,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
}

func identityAnswerOf(id *revocation.Identity) *identityAnswer {
	kind := ""
	if id.Kind() == revocation.KindAPIKey {
		kind = id.Kind().String()
	}
	return &identityAnswer{
		Kind: kind, Realm: valid(id.Realm()), Token: valid(id.Token()), Session: valid(id.Session()), Client: valid(id.Client()),
		IssuedAt: id.IssuedAt().UTC(), Expires: id.Expires().UTC(),
	}
}

var errTokenOrHeaders = errors.New("want a token or headers, one of them")

// serveExplain tells how each site would judge a credential. It does what a request with it
// would do, up to the point at which that is let through: keys are fetched and an
// authorization server is asked.
func (*adminAPI) serveExplain(w http.ResponseWriter, r *http.Request) error {
	var asked explainRequest
	if err := readAdminRequest(w, r, &asked); err != nil {
		return err
	}
	if (asked.Token == "") == (len(asked.Headers) == 0) {
		return adminError(http.StatusBadRequest, errTokenOrHeaders)
	}
	with := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{}}
	for name, value := range asked.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return adminError(http.StatusBadRequest, errors.New("headers: not header fields"))
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		with.Header[name] = append(with.Header[name], value)
	}
	_, sites, err := runningApp(w)
	if err != nil {
		return err
	}
	if sites, err = selectSites(sites, asked.Site); err != nil {
		return err
	}
	answer := explainAnswer{make([]explanation, len(sites))}
	for i, site := range sites {
		found, err := credential{text: asked.Token}, error(nil)
		if asked.Token == "" {
			found, err = site.handler.sources.find(with)
		}
		answer.Sites[i] = site.handler.explain(r.Context(), found, err)
		answer.Sites[i].siteName = site.siteName
	}
	return writeAdminAnswer(w, answer)
}

// explain judges a credential as a request with it would be, and says why. err is why it
// could not be found.
func (h *Handler) explain(ctx context.Context, found credential, err error) explanation {
	e := explanation{DryRun: h.dryRun}
	if err != nil {
		e.refuse(err)
		return e
	}
	e.Credential = h.kindOf(found)
	c, err := h.verify(ctx, found)
	if err != nil {
		e.refuse(err)
		if c, err = h.verifyEver(ctx, found); err == nil {
			e.describe(&c)
		}
		return e
	}
	e.describe(&c)
	if c.identity == nil {
		e.Allowed = true // for the API to judge
		return e
	}
	e.judge(ctx, h, &c)
	return e
}

// kindOf names the kind of a credential.
func (h *Handler) kindOf(found credential) string {
	switch {
	case found.kind == kindAPIKey:
		return "api_key"
	case found.kind == kindScheme:
		return "scheme"
	case h.takesAsJWT(found.text):
		return "jwt"
	default:
		return "opaque"
	}
}

// verifyEver is verify for a token that may have expired, or be good for something else.
func (h *Handler) verifyEver(ctx context.Context, found credential) (caller, error) {
	found.held = true
	c, err := h.verify(ctx, found)
	if errors.Is(err, token.ErrExpired) && found.kind == kindToken {
		return h.verifyExpired(ctx, found.text)
	}
	return c, err
}

func (e *explanation) describe(c *caller) {
	e.Verified, e.Unproven = !c.unproven, c.unproven
	if c.identity != nil {
		e.Identity = identityAnswerOf(c.identity)
	}
}

// refuse says why a credential could not be found, or verified.
func (e *explanation) refuse(err error) {
	e.Reason = credentialRefusal(err).reason.String()
	e.Check, e.Detail = failedCheck(err), err.Error()
}

// judge asks the list.
func (e *explanation) judge(ctx context.Context, h *Handler, c *caller) {
	var why revocation.Explanation
	err := revocation.ErrClosed
	list := h.app.list(ctx)
	if list != nil {
		why, err = list.Explain(ctx, c.identity)
	}
	refused := verdictRefusal(why.Verdict, why.Err)
	switch {
	case why.Verdict == revocation.RotatedToken && h.rotateGrace > 0:
		refused = h.checkRotated(ctx, list, c)
	case why.Verdict == revocation.Unknown && h.app.allowsUnchecked:
		refused = nil
	}
	e.Verdict, e.Stored = why.Verdict.String(), why.Stored.String()
	if why.Source != 0 {
		e.From = why.Source.String()
	}
	if why.Decisive.Scope != 0 {
		e.Entry = new(answerOf(why.Decisive))
	}
	if why.Issued.Scope != 0 {
		e.Survives = new(answerOf(why.Issued))
	}
	if err != nil {
		e.Detail = err.Error()
	}
	if e.Allowed = refused == nil; e.Allowed {
		return
	}
	e.Reason = refused.reason.String()
	switch refused.reason {
	case dialect.AgedCredential:
		e.Check = checkAge
	case dialect.Unavailable:
		e.Check = checkUnavailable
	default:
		e.Check = "revocation"
	}
}

// Checks that are asked for by their name.
const (
	checkAge         = "age"
	checkExpired     = "exp"
	checkUnavailable = "unavailable" // nobody can tell at present
)

// failedCheck names the check of verification that an error is from.
func failedCheck(err error) string {
	if _, ok := errors.AsType[unavailableError](err); ok {
		return checkUnavailable
	}
	for _, check := range failedChecks {
		if errors.Is(err, check.err) {
			return check.name
		}
	}
	return "credential"
}

// failedChecks are the errors of verification, those that wrap others before them.
var failedChecks = []struct {
	err  error
	name string
}{
	{token.ErrMissing, "missing"},
	{token.ErrConflict, "conflict"},
	{token.ErrMalformed, "form"},
	{token.ErrAlgorithm, "algorithm"},
	{token.ErrHeader, "header"},
	{token.ErrUnknownKey, "unknown_key"},
	{token.ErrSignature, "signature"},
	{token.ErrKeysUnavailable, checkUnavailable},
	{token.ErrClaim, "claim"},
	{errNoClaim, "claim"},
	{token.ErrSenderConstrained, "sender_constrained"},
	{token.ErrIssuer, "issuer"},
	{token.ErrAudience, "audience"},
	{token.ErrNotYetValid, "nbf"},
	{token.ErrIssuedInFuture, "iat"},
	{token.ErrExpired, checkExpired},
	{token.ErrTooOld, checkAge},
	{introspect.ErrInactive, "inactive"},
	{errNotIssued, "issue"},
	{errUnknownAPIKey, "unknown_key"},
}
