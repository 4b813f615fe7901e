package request

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// PathSkeleton is what paths are compared by: the letters and digits of their segments.
type PathSkeleton string

// NewPathSkeleton returns that of a path.
func NewPathSkeleton(path string) PathSkeleton { return PathSkeleton(skeleton(path, true)) }

// Resembles reports whether some upstream may route path as it routes the one of the
// skeleton: by its letters and digits alone, without regard to case and without an extension
// (/auth/refresh.json). Dot segments, parameters and the like must be resolved already.
func (s PathSkeleton) Resembles(path string) bool {
	return s != "" && resembles(string(s), path, true)
}

// Plain returns a path as the most forgiving upstream might decode it: percent-encodings and
// compatibility forms (U+FF0F) as what they stand for, backslashes as slashes.
func Plain(path string) string {
	return strings.ReplaceAll(norm.NFKC.String(unescapeAll(path)), `\`, "/")
}
