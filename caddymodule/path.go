package caddymodule

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/request"
)

// requestURL is the URL that a request has come with, before any rewrite: paths in
// the configuration are the API's own, as its clients send them.
func requestURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL
	}
	return r.URL
}

// requestPath is what the path of one request is compared by.
type requestPath struct {
	// exact is the path as it was sent, if it can only be read in one way;
	// otherwise it is empty.
	exact string
	// loose is the path as the most forgiving upstream might read it, but for what makes
	// names alike.
	loose string
	// behind is the path behind an authority, of a path that begins like one with two
	// slashes: //host/path. Otherwise it is empty.
	behind string
}

// parsePath reads the path of u. Most paths are plain and cost one scan.
func parsePath(u *url.URL) requestPath {
	if u.RawPath == "" && isPlainPath(u.Path) {
		return requestPath{exact: u.Path, loose: u.Path}
	}
	p := requestPath{loose: loosePath(u.Path), behind: pathBehindAuthority(u.Path)}
	if isUnambiguous(u) {
		p.exact = u.Path
	}
	return p
}

// resembles reports whether some upstream may route p like the path of this skeleton.
func (p *requestPath) resembles(s request.PathSkeleton) bool {
	return s.Resembles(p.loose) || p.behind != "" && s.Resembles(p.behind)
}

// isTarget reports whether u is what a request may be for: a path, or OPTIONS *. What is
// opaque (RFC 3986 §3) has no path here, and is sent on as it came.
func isTarget(method string, u *url.URL) bool {
	return u.Opaque == "" && (strings.HasPrefix(u.Path, "/") || u.Path == "*" && method == http.MethodOptions)
}

// isPlainPath reports whether p reads the same to every upstream, but for the case
// of letters: letters, digits and a few harmless characters in nonempty segments
// with no dot at their beginning.
func isPlainPath(p string) bool {
	if len(p) == 0 || p[0] != '/' || (len(p) > 1 && p[len(p)-1] == '/') {
		return false
	}
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' || c == '/':
			if p[i-1] == '/' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// isUnambiguous reports whether no upstream could take the path of u for another
// one: it has no empty or dot segment, no path parameter (RFC 3986 §3.3), no
// backslash, no encoded delimiter and nothing that decodes twice.
func isUnambiguous(u *url.URL) bool {
	p := u.Path
	if !strings.HasPrefix(p, "/") || strings.Contains(p, "//") || strings.ContainsAny(p, `\;%`+"\x00") {
		return false
	}
	if !utf8.ValidString(p) || strings.ContainsFunc(p, isStrange) {
		return false
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment != "" && strings.Trim(segment, ". ") == "" {
			return false
		}
	}
	raw := strings.ToLower(u.EscapedPath())
	return !strings.Contains(raw, "%2f") && !strings.Contains(raw, "%5c")
}

// isStrange reports whether some upstream might drop r from a path, end the path at it
// or read it as a delimiter: controls, what separates the query, and wide forms.
func isStrange(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) && r != ' ' || strings.ContainsRune("?#\uff0e\uff0f\uff3c", r)
}

// loosePath returns p as the most forgiving upstream might route it: decoded again and again,
// compatibility forms as what they stand for, backslashes as slashes, path parameters and
// empty segments dropped, dot segments resolved, no slash at the end.
func loosePath(p string) string {
	segments := strings.Split(request.Plain(p), "/")
	for i, segment := range segments {
		if j := strings.IndexAny(segment, ";?#\x00"); j >= 0 {
			segment = segment[:j]
		}
		segments[i] = strings.TrimFunc(segment, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
	}
	return path.Clean("/" + strings.Join(segments, "/"))
}

// pathBehindAuthority returns the path that an upstream sees which takes what follows two
// slashes for a host (RFC 3986 §3.2), or "".
func pathBehindAuthority(p string) string {
	rest, ok := strings.CutPrefix(request.Plain(p), "//")
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
	return loosePath("/" + rest)
}

// endpoint is the path of one of the API's calls that the sidecar takes part in.
type endpoint struct {
	exact    string
	skeleton request.PathSkeleton
}

func newEndpoint(p string) (endpoint, error) {
	if err := validatePath(p); err != nil {
		return endpoint{}, err
	}
	return endpoint{exact: p, skeleton: request.NewPathSkeleton(loosePath(p))}, nil
}

// is reports whether p is certainly this endpoint. It is asked before something is
// let through without a credential.
func (e endpoint) is(p requestPath) bool { return e.exact != "" && p.exact == e.exact }

// mayBe reports whether an upstream could take p for this endpoint. It is asked
// before something more is checked.
func (e endpoint) mayBe(p requestPath) bool { return e.exact != "" && p.resembles(e.skeleton) }

// validatePath checks a path of the configuration.
func validatePath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("path %q: must begin with a slash", p)
	}
	u := &url.URL{Path: p}
	if !isUnambiguous(u) || strings.ContainsAny(p, "*?#{}") {
		return fmt.Errorf("path %q: must be a plain path: no wildcard, placeholder, query, parameter, dot segment or doubled slash", p)
	}
	return nil
}

// publicPaths are the paths that need no credential.
type publicPaths struct {
	exact    map[string]struct{}
	prefixes []string // each ends in a slash
}

func newPublicPaths(patterns []string) (publicPaths, error) {
	paths := publicPaths{exact: make(map[string]struct{}, len(patterns))}
	for _, pattern := range patterns {
		prefix, isPrefix := strings.CutSuffix(pattern, "/*")
		if isPrefix {
			if err := validatePath(prefix + "/"); err != nil {
				return publicPaths{}, err
			}
			paths.prefixes = append(paths.prefixes, prefix+"/")
			continue
		}
		if err := validatePath(pattern); err != nil {
			return publicPaths{}, err
		}
		paths.exact[pattern] = struct{}{}
	}
	return paths, nil
}

// include reports whether p is public. A path that could be read as another one never is.
func (paths publicPaths) include(p requestPath) bool {
	if p.exact == "" {
		return false
	}
	if _, ok := paths.exact[p.exact]; ok {
		return true
	}
	for _, prefix := range paths.prefixes {
		if strings.HasPrefix(p.exact, prefix) {
			return true
		}
	}
	return false
}
