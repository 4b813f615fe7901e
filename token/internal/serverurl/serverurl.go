// Package serverurl checks the URLs that verification asks for keys and about tokens, and
// names them without what may be secret in them.
package serverurl

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
)

// Parse checks that raw is an https URL, or an http URL where that is permitted: anywhere
// with allowHTTP, and to a loopback host. danger is what others could do on the way
// otherwise. An error does not quote raw: it may have a secret in it.
func Parse(raw string, allowHTTP bool, danger string) (*url.URL, error) {
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
	}
	if err := CheckScheme(u, allowHTTP, danger); err != nil {
		return nil, err
	}
	return u, nil
}

// CheckScheme is the part of Parse that is about https.
func CheckScheme(u *url.URL, allowHTTP bool, danger string) error {
	switch {
	case u.Scheme == "https", u.Scheme == "http" && (allowHTTP || isLoopback(u.Hostname())):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("plain http to a host that is not loopback: whoever is on the way could %s", danger)
	}
	return errors.New("the URL is not an https URL")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// Name returns u without what may be secret.
func Name(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
