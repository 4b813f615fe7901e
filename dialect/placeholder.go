package dialect

// Placeholders that have the same value in every answer of a rule.
const (
	nameReason = "reason"
	nameStatus = "status"
)

// maxPlaceholder bounds the name of a placeholder.
const maxPlaceholder = 128

// segment is a piece of a body.
type segment struct {
	// text is literal, or a placeholder with its braces.
	text        string
	placeholder bool
	// value says that the placeholder stands for a whole JSON value: it is outside
	// of any string literal.
	value bool
}

// name is the name of a placeholder.
func (s segment) name() string { return s.text[1 : len(s.text)-1] }

// split cuts a body at its placeholders. Nothing between quotation marks in JSON is
// seen as one unless its brace is a character of the string: not in an escape.
func split(body string, isJSON bool) []segment {
	var segments []segment
	start, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case isJSON && c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
		case c == '{':
			length := placeholderLength(body[i:])
			if length == 0 {
				continue
			}
			if start < i {
				segments = append(segments, segment{text: body[start:i]})
			}
			start = i + length
			segments = append(segments, segment{text: body[i:start], placeholder: true, value: isJSON && !inString})
			i = start - 1
		}
	}
	if start < len(body) {
		segments = append(segments, segment{text: body[start:]})
	}
	return segments
}

// placeholderLength is the length of the placeholder that s begins with, 0 if it
// begins with none.
func placeholderLength(s string) int {
	for i := 1; i < len(s) && i <= maxPlaceholder+1; i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		switch {
		case c == '}' && i > 1:
			return i + 1
		case letter:
		case i > 1 && (isDigit(c) || c == '_' || c == '-' || c == '.' || c == ':' || c == '/'):
		default:
			return 0
		}
	}
	return 0
}
