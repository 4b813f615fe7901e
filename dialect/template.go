package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxBody bounds a custom body, as a template and rendered: values come from requests.
const maxBody = 64 << 10

// template is a rule made ready for one reason.
type template struct {
	fixed    Answer    // the whole answer, but for a body with placeholders
	segments []segment // nil if there is none
	format   format
}

// format is what decides how values are escaped.
type format uint8

const (
	formatPlain format = iota
	formatJSON
	formatMarkup
)

func formatOf(mediaType string) format {
	_, subtype, _ := strings.Cut(mediaType, "/")
	switch {
	case subtype == "json" || strings.HasSuffix(subtype, "+json"):
		return formatJSON
	case subtype == "html" || subtype == "xml" || strings.HasSuffix(subtype, "+xml"):
		return formatMarkup
	default:
		return formatPlain
	}
}

// newTemplate checks a rule and makes it ready to answer what is named reason.
func newTemplate(rule Rule, reason string) (*template, error) {
	mediaType, err := checkRule(rule)
	if err != nil {
		return nil, err
	}
	t := &template{fixed: Answer{Status: rule.Status}, format: formatOf(mediaType)}
	if rule.Body == "" {
		return t, nil
	}
	t.fixed.ContentType = rule.ContentType
	if rule.ContentType == "" {
		t.fixed.ContentType = typeJSON
	}
	if len(rule.Body) > maxBody {
		return nil, fmt.Errorf("body larger than %d bytes", maxBody)
	}
	if !utf8.ValidString(rule.Body) {
		return nil, errors.New("body is not UTF-8")
	}
	known := map[string]string{nameReason: reason, nameStatus: strconv.Itoa(rule.Status)}
	for _, s := range split(rule.Body, t.format == formatJSON) {
		t.segments = append(t.segments, t.resolve(s, known))
	}
	return t, t.check()
}

// resolve replaces a placeholder whose value is the same for every request.
func (t *template) resolve(s segment, known map[string]string) segment {
	if s.placeholder {
		if value, ok := known[s.name()]; ok {
			return segment{text: t.format.escape(value, s.value && s.name() != nameStatus)}
		}
	}
	return s
}

// check renders the template with nothing known and with everything empty. If both
// are JSON, then so is every rendering: each placeholder is where a character of a
// string may be, or else a value.
func (t *template) check() error {
	unknown, ok := t.render(nil)
	if !ok {
		return fmt.Errorf("body larger than %d bytes", maxBody)
	}
	empty, _ := t.render(noValues)
	if t.format == formatJSON && (!json.Valid(unknown) || !json.Valid(empty)) {
		return errors.New("body is not JSON, as its content type says")
	}
	for _, s := range t.segments {
		if s.placeholder {
			return nil
		}
	}
	t.fixed.Body, t.segments = unknown, nil
	return nil
}

// noValues knows every placeholder, and that it is empty.
func noValues(string) (string, bool) { return "", true }

// answer renders the template.
func (t *template) answer(request Request) Answer {
	if t.segments == nil {
		return t.fixed
	}
	answer := t.fixed
	var ok bool
	if answer.Body, ok = t.render(request.Value); !ok {
		answer.Body, _ = t.render(noValues)
	}
	return answer
}

// render returns the body, and whether it is within maxBody.
func (t *template) render(value func(string) (string, bool)) ([]byte, bool) {
	var body []byte
	for _, s := range t.segments {
		text := s.text
		if s.placeholder {
			text = t.expand(s, value)
		}
		if len(body)+len(text) > maxBody {
			return nil, false
		}
		body = append(body, text...)
	}
	return body, true
}

// expand returns what is inserted for a placeholder.
func (t *template) expand(s segment, value func(string) (string, bool)) string {
	if value != nil {
		if v, ok := value(s.name()); ok {
			if len(v) > maxBody {
				return v // too large in any case, and not worth escaping
			}
			return t.format.escape(v, s.value)
		}
	}
	if s.value {
		return "null"
	}
	return s.text
}

// escape returns text as it is inserted, as a JSON value of its own if asValue is set.
func (f format) escape(text string, asValue bool) string {
	switch f {
	case formatJSON:
		quoted, err := json.Marshal(text) // replaces what is not UTF-8
		switch {
		case err != nil:
			return ""
		case asValue:
			return string(quoted)
		default:
			return string(quoted[1 : len(quoted)-1])
		}
	case formatMarkup:
		return html.EscapeString(strings.ToValidUTF8(text, "\uFFFD"))
	default:
		return text
	}
}
