package introspect

import (
	"errors"
	"net/netip"
	"net/url"
)

// parseURL checks that raw is an https URL, or an http URL where that is permitted. An
// error does not quote it: it may have a secret in it.
func parseURL(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("the URL has a user name or password")
	case u.Fragment != "":
		return nil, errors.New("the URL has a fragment")
	case u.Scheme == "https", u.Scheme == "http" && (allowHTTP || isLoopback(u.Hostname())):
		return u, nil
	case u.Scheme == "http":
		return nil, errors.New("plain http to a host that is not loopback: whoever is on the way could read tokens")
	}
	return nil, errors.New("the URL is not an https URL")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// name returns u without what may be secret.
func name(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
