package jsonrpc

import (
	"strings"
	"unicode"
)

// lookAlikes finds names that a sloppy parser, or a sloppy server, may take for one
// that counts: they have its letters and digits, but another case or other characters
// between and around them. "Method", "access-token" and "accessToken " are such.
type lookAlikes map[string]string // the name that counts, by its skeleton

func newLookAlikes(names ...string) lookAlikes {
	set := make(lookAlikes, len(names))
	for _, name := range names {
		set[skeleton(name)] = name
	}
	return set
}

// has reports whether name only looks like a name of the set.
func (set lookAlikes) has(name string) bool {
	if len(set) == 0 {
		return false
	}
	known, found := set[skeleton(name)]
	return found && known != name
}

// skeleton returns the letters and digits of a name. Letters that some parser takes
// for the same are made the same: encoding/json also folds U+017F and U+212A.
func skeleton(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		least := r
		for folded := unicode.SimpleFold(r); folded != r; folded = unicode.SimpleFold(folded) {
			least = min(least, folded)
		}
		return least
	}, name)
}

var (
	memberNames = newLookAlikes("jsonrpc", "id", "method", "params", "result", "error")
	// paramNames are the parameters that this package, or the user of it, acts on.
	paramNames = newLookAlikes("access_token", "refresh_token", "grant_type", "invalidate_token", "scope", "interval")
)
