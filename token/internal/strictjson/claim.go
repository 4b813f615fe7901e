package strictjson

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDate is the end of the year 9999 in seconds, beyond which RFC 3339 has no dates.
const maxDate = 253402300800

// Identifier returns a claim that names somebody: a string that is not empty, or an
// integer without fraction, exponent or needless zeros, as its digits.
func Identifier(value jsontext.Value) (string, bool) {
	if value.Kind() != '0' {
		s, ok := String(value)
		return s, ok && s != ""
	}
	s := string(value)
	if s == "-0" || bytes.ContainsAny(value, ".eE") {
		return "", false
	}
	return s, true
}

// OneOrMore returns a string or an array of strings (RFC 7519 §4.1.3).
func OneOrMore(value jsontext.Value) ([]string, bool) {
	if s, ok := String(value); ok {
		return []string{s}, true
	}
	return Strings(value)
}

// NumericDate returns a JSON number of seconds (RFC 7519 §2) after 1 January 1970 and
// before the year 10000, in microseconds. What is finer is cut off.
func NumericDate(value jsontext.Value) (micros int64, ok bool) {
	micros, ok = Start(value)
	return micros, ok && micros > 0
}

// Start is NumericDate for a time from which on something is good: 0 if that is before
// 1970, as in "nbf":0.
func Start(value jsontext.Value) (micros int64, ok bool) {
	if value.Kind() != '0' {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds >= maxDate {
		return 0, false
	}
	return int64(max(seconds, 0) * 1e6), true
}

// Text returns a value as it is shown: a string as it is, a number or boolean as its JSON
// text, an array or object without white space.
func Text(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case '"':
		s, _ := String(value)
		return s, nil
	case '{', '[':
		value = value.Clone()
		if err := value.Compact(); err != nil {
			return "", err
		}
	default: // a number, a boolean or null
	}
	return string(value), nil
}
