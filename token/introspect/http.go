package introspect

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/caddy-token-auth/token/internal/serverurl"
)

// danger is why plain http is for loopback hosts.
const danger = "read tokens"

const (
	// maxAnswer bounds the body of an answer, decompressed, in bytes. Usual ones have
	// some hundred.
	maxAnswer = 64 << 10
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	// idleTimeout is how long a connection is kept that nobody uses.
	idleTimeout = 90 * time.Second
)

// endpoint is the server's introspection endpoint (RFC 7662 §2).
type endpoint struct {
	address       *url.URL
	client        http.Client
	authorization string // the field's value, or ""
	form          string // what follows the token in the body of each request
}

func newEndpoint(address *url.URL, o Options) *endpoint {
	e := &endpoint{address: address, form: "&token_type_hint=access_token"}
	e.client.Transport = o.Transport
	if o.Transport == nil {
		e.client.Transport = newTransport(o)
	}
	// A redirect would take the token and our credentials to another place.
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	switch {
	case o.BearerToken != "":
		e.authorization = "Bearer " + o.BearerToken
	case o.Method == ClientSecretPost:
		e.form += "&client_id=" + url.QueryEscape(o.ClientID) + "&client_secret=" + url.QueryEscape(o.ClientSecret)
	case o.ClientID != "":
		// RFC 6749 §2.3.1: form-encoded first, so that the identifier can have a colon.
		pair := url.QueryEscape(o.ClientID) + ":" + url.QueryEscape(o.ClientSecret)
		e.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	return e
}

// newTransport returns a transport that keeps as many connections as can be in use.
// A dial outlives the request that it was for, but not the timeout.
func newTransport(o Options) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSHandshakeTimeout:    o.Timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           o.MaxConcurrent,
		MaxIdleConnsPerHost:    o.MaxConcurrent,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// post asks about a token and returns the body of the answer. reached says that the
// server is there and works, whatever it answered.
func (e *endpoint) post(ctx context.Context, raw string) (body []byte, reached bool, err error) {
	form := "token=" + url.QueryEscape(raw) + e.form
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.address.String(), strings.NewReader(form))
	if err != nil {
		return nil, false, errors.New("not a URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if e.authorization != "" {
		req.Header.Set("Authorization", e.authorization)
	}
	// Not sent: it tells net/http that asking twice does no harm. Otherwise a request
	// would fail whenever the server closes an idle connection at the same moment.
	req.Header["Idempotency-Key"] = nil

	resp, err := e.client.Do(req)
	if err != nil {
		return nil, false, e.failure(err)
	}
	defer resp.Body.Close()
	refused := e.checkStatus(resp.StatusCode)
	if refused != nil && resp.StatusCode != http.StatusBadRequest {
		return nil, !isOverloaded(resp.StatusCode), refused
	}
	if err := e.checkHeader(resp); err != nil {
		return nil, true, cmp.Or(refused, err)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, refused != nil, cmp.Or(refused, e.failure(err))
	case len(body) > maxAnswer:
		return nil, true, fmt.Errorf("%s: an answer of more than %d bytes", serverurl.Name(e.address), maxAnswer)
	case refused != nil && isUnsupportedType(body):
		return nil, true, inactive(errUnsupportedType)
	case refused != nil:
		return nil, true, refused
	}
	return body, true, nil
}

// checkStatus says what is wrong with a status.
func (e *endpoint) checkStatus(status int) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden: // RFC 7662 §2.3
		return fmt.Errorf("%s refuses the credentials that are configured for it: status %d", serverurl.Name(e.address), status)
	default:
		return fmt.Errorf("%s answered with status %d", serverurl.Name(e.address), status)
	}
}

// checkHeader says what is wrong with an answer before its body is read.
func (e *endpoint) checkHeader(resp *http.Response) error {
	// net/http takes the field away with the encoding that it has asked for.
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("%s: an answer in an encoding that was not asked for", serverurl.Name(e.address))
	}
	var mediaType string
	if types := resp.Header.Values("Content-Type"); len(types) == 1 {
		mediaType, _, _ = mime.ParseMediaType(types[0]) // "" if it is none
	}
	switch mediaType {
	case "application/json":
		return nil
	case "application/token-introspection+jwt": // RFC 9701
		return fmt.Errorf("%s: signed answers are not supported", serverurl.Name(e.address))
	}
	return fmt.Errorf("%s: an answer that is not application/json", serverurl.Name(e.address))
}

// isOverloaded knows the answers after which a server should be left alone. 500 is not
// among them: one token that a server stumbles over must not keep the others away.
func isOverloaded(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// failure says why there is no answer. It uses only the errors that are known to quote
// nothing of what the server sent: others of net/http have whole lines of it.
func (e *endpoint) failure(err error) error {
	var (
		connection  *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("no answer in time")
	case errors.As(err, &connection):
		err = connection
	case errors.As(err, &certificate):
		err = certificate
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the connection ended in the middle")
	case errors.Is(err, http.ErrSchemeMismatch):
		err = http.ErrSchemeMismatch
	default:
		err = errors.New("no valid HTTP answer")
	}
	return fmt.Errorf("ask %s: %w", serverurl.Name(e.address), err)
}
