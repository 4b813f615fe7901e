package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/caddy-token-auth/token/internal/serverurl"
)

const (
	// maxRedirects of one request. A key set has no reason to wander.
	maxRedirects = 3
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
)

// danger is why plain http is for loopback hosts.
const danger = "replace the keys"

// FromURL returns a Source for the JWK set at an https URL. Plain http needs
// Options.AllowHTTP, unless the host is loopback. It returns at once and begins to
// fetch. Close must be called.
func FromURL(address string, o Options) (*Source, error) {
	u, err := serverurl.Parse(address, o.AllowHTTP, danger)
	if err != nil {
		return nil, fmt.Errorf("address of the key set: %w", err)
	}
	return start(&endpoint{address: u, web: newWeb(o)}, o)
}

// endpoint is the origin of a set at a URL.
type endpoint struct {
	address *url.URL
	web     web
}

func (e *endpoint) String() string { return serverurl.Name(e.address) }

// fetch implements origin.
func (e *endpoint) fetch(ctx context.Context, _ bool) ([]byte, time.Duration, error) {
	return e.web.get(ctx, e.address)
}

// web fetches documents.
type web struct{ client http.Client }

func newWeb(o Options) web {
	var w web
	if o.Client != nil {
		w.client.Transport = o.Client.Transport
	}
	if w.client.Transport == nil {
		w.client.Transport = newTransport()
	}
	w.client.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		switch from := via[len(via)-1]; {
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		case from.URL.Scheme == "https" && to.URL.Scheme != "https":
			return errors.New("a redirect leaves https")
		case to.URL.User != nil:
			return errors.New("a redirect to a URL with a user name or password")
		}
		return serverurl.CheckScheme(to.URL, o.AllowHTTP, danger)
	}
	return w
}

// newTransport returns a transport that keeps no connection: the next fetch is an hour
// away, and no goroutine must outlive Close.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// get returns the body at u and for how long it is fresh, negative if that is not said.
func (w *web) get(ctx context.Context, u *url.URL) ([]byte, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, 0, errors.New("not a URL")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, 0, fetchError(u, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s answered with status %d", serverurl.Name(u), resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSize+1))
	switch {
	case err != nil:
		return nil, 0, fetchError(u, err)
	case len(body) > maxSize:
		return nil, 0, fmt.Errorf("%s: %w", serverurl.Name(u), ErrTooLarge)
	}
	return body, freshness(resp.Header), nil
}

// fetchError leaves out the URL that net/http puts into its errors, query and all.
func fetchError(u *url.URL, err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("fetch %s: %w", serverurl.Name(u), err)
}

// freshness returns the max-age of Cache-Control (RFC 9111 §5.2.2.1) in an answer, 0 if
// it must not be kept, or a negative duration if it says nothing.
func freshness(h http.Header) time.Duration {
	fresh := time.Duration(-1)
	for field := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		key, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(field)), "=")
		switch key {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0 // RFC 9111 §4.2.1: what is not understood is stale
			}
			fresh = time.Duration(seconds) * time.Second
		}
	}
	return fresh
}
