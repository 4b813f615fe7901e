package caddymodule

import (
	"net/http"
	"net/url"
	"strings"

	"example.com/caddy-token-auth/request"
)

// collected is what the places of one request carry under names that mean the same.
type collected struct {
	raw      string
	count    int
	conflict bool
	// alike is what stands under names that only resemble the right ones. Some upstream may
	// read it, so it must be the same. It is never used itself.
	alike []string
}

func (c *collected) add(raw string) {
	if raw == "" {
		return
	}
	c.count++
	if c.raw != "" && c.raw != raw {
		c.conflict = true
	}
	c.raw = raw
}

func (c *collected) addAll(values []string) {
	for _, value := range values {
		c.add(value)
	}
}

func (c *collected) addAlike(values ...string) {
	for _, value := range values {
		if value != "" {
			c.alike = append(c.alike, value)
		}
	}
}

// ambiguous reports whether some upstream may read something else than raw.
func (c *collected) ambiguous() bool {
	for _, value := range c.alike {
		if value != c.raw {
			return true
		}
	}
	return c.conflict
}

// elsewhere reports whether the token was found in another place than the bearer
// token was, which is "" if there is none.
func (c *collected) elsewhere(bearer string) bool { return bearer == "" || c.count > 1 }

// addNamed adds values that stand under a name, if it is one of names or resembles one.
func (c *collected) addNamed(names []request.Name, name string, values []string) (found bool) {
	for _, n := range names {
		switch {
		case n.Is(name):
			c.addAll(values)
		case n.Resembles(name):
			c.addAlike(values...)
		default:
			continue
		}
		found = true
	}
	return found
}

// addHeaders adds the fields of these names, which are canonical.
func (c *collected) addHeaders(names []request.Name, h http.Header) {
	if len(names) == 0 {
		return
	}
	for name, values := range h {
		c.addNamed(names, name, values)
	}
}

// addCookies adds the cookies of these names. RFC 6265 §5.4 separates cookies by semicolons
// alone; some parsers also do by commas and white space, begin again behind a stray "=", or
// decode names.
func (c *collected) addCookies(names []request.Name, h http.Header) {
	if len(names) == 0 {
		return
	}
	for _, field := range h["Cookie"] {
		for pair := range strings.SplitSeq(field, ";") {
			c.addCookie(names, pair)
		}
	}
}

func (c *collected) addCookie(names []request.Name, pair string) {
	begin := true
	for i := range len(pair) {
		if pair[i] != '=' {
			continue
		}
		name, value := strings.TrimRight(pair[:i], " \t"), cookieValue(pair[i+1:])
		word := name[strings.LastIndexFunc(name, endsCookieName)+1:]
		for _, n := range names {
			switch {
			case begin && n.Is(strings.TrimLeft(name, " \t")):
				c.add(value)
			case n.Resembles(word), begin && n.Resembles(name):
				c.addAlike(value)
			}
		}
		begin = false
	}
}

// joinCookies makes one of several Cookie fields (RFC 9113 §8.2.3): some upstreams join them
// by commas, and read other cookies.
func joinCookies(h http.Header) {
	if fields := h["Cookie"]; len(fields) > 1 {
		h["Cookie"] = []string{strings.Join(fields, "; ")}
	}
}

// cookieValue returns the value of a cookie without the quotes that it may stand in.
func cookieValue(text string) string { return strings.Trim(strings.TrimSpace(text), `"`) }

// endsCookieName reports whether some parser takes r for the end of what stands before a
// cookie's name.
func endsCookieName(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`,="`, r) }

// removeCookies takes all cookies off a request that could be taken for one of these names.
func removeCookies(h http.Header, names []request.Name) {
	fields := h["Cookie"]
	kept := make([]string, 0, len(fields))
	for _, field := range fields {
		pairs := make([]string, 0, 4)
		for pair := range strings.SplitSeq(field, ";") {
			pair = strings.TrimSpace(pair)
			var c collected
			if c.addCookie(names, pair+"=x"); pair != "" && c.count+len(c.alike) == 0 {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	switch {
	case len(fields) == 0:
	case len(kept) == 0:
		delete(h, "Cookie")
	default:
		h["Cookie"] = kept
	}
}

// removeParameters takes all parameters out of a query that could be taken for one of these
// names, and reports whether there were any.
func removeParameters(u *url.URL, names []request.Name) bool {
	if len(names) == 0 || u.RawQuery == "" {
		return false
	}
	kept := make([]string, 0, 4)
	removed := false
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if hasParameter(pair, names) {
			removed = true
			continue
		}
		kept = append(kept, pair)
	}
	u.RawQuery = strings.Join(kept, "&")
	return removed
}

// hasParameter reports whether some parser finds a parameter with one of these names in a part
// of a query between two "&": some also separate by ";".
func hasParameter(part string, names []request.Name) bool {
	for pair := range strings.SplitSeq(part, ";") {
		name, _, _ := strings.Cut(pair, "=")
		// What cannot be decoded is compared as the most forgiving upstream decodes it.
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if request.Resemble(names, name) {
			return true
		}
	}
	return false
}
