package dialect

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// Rule is one answer of a custom dialect.
type Rule struct {
	// On is what it answers: the name of a reason, "logged_out", or "*" for every
	// refusal that no other rule is about. Unavailable needs a status of 500 or more;
	// "*" with a lower one leaves it to the base.
	On string `json:"on"`
	// Status is the HTTP status code, 200 to 599, or 0 for the one that the base
	// dialect has. A refusal with 2xx reads as a success to whatever looks at the
	// status alone, such as a proxy that asks this one for permission.
	Status int `json:"status,omitempty"`
	// ContentType is the media type of the body. Default: application/json.
	ContentType string `json:"content_type,omitempty"`
	// Body is a template, see Custom. Default: no body.
	Body string `json:"body,omitempty"`
}

// Names that a rule may have besides those of reasons.
const (
	onLoggedOut = "logged_out"
	onAny       = "*"
)

// Custom is a dialect made of rules. What no rule answers is answered by its base;
// the zero value has neither rules nor a base and is the dialect "problem". A rule
// for invalid_credential also serves for invalid_api_key, and one for
// invalid_request for malformed_request and not_websocket, unless these have their own.
//
// A body may have placeholders: {reason} is the name of the reason or "logged_out",
// {status} is the status code, and others are what the Value function of the request
// knows. Names begin with a letter and go on with letters, digits and "_-.:/". All
// other braces are what they are, and so is a placeholder that nobody knows.
//
// In a body whose content type is JSON, a value is escaped within a string literal,
// and becomes a string literal outside of one ({status} stays a number, and what is
// unknown is null there). So a body is JSON if its template is, whatever the values
// are. In HTML and XML, values are escaped as text; elsewhere they are inserted as
// they are. A rendered body has at most 64 KiB: values that would make it larger
// are left out, all of them.
type Custom struct {
	base      Dialect
	refusals  [reasonCount]*template // nil: the base's
	loggedOut *template              // nil: the base's
}

// NewCustom returns the dialect of these rules. The error names the rule that is
// wrong.
func NewCustom(base Dialect, rules []Rule) (*Custom, error) {
	c := &Custom{base: base}
	on := make(map[string]Rule, len(rules))
	for _, rule := range rules {
		if rule.On != onAny && rule.On != onLoggedOut && !slices.Contains(reasonNames[:], rule.On) {
			return nil, fmt.Errorf("unknown reason %q: want %s, %s or %s", rule.On, strings.Join(reasonNames[:], ", "), onLoggedOut, onAny)
		}
		if _, twice := on[rule.On]; twice {
			return nil, ruleError(rule, errors.New("given twice"))
		}
		on[rule.On] = rule
	}
	for i := range c.refusals {
		reason := Reason(i)
		rule, ok := ruleFor(reason, on)
		if !ok {
			continue
		}
		if rule.Status == 0 {
			rule.Status = c.fallback().Refuse(Refusal{Reason: reason}).Status
		}
		// A list that does not answer must not log everybody out.
		if reason == Unavailable && rule.Status < http.StatusInternalServerError {
			if rule.On == onAny {
				continue
			}
			return nil, ruleError(rule, fmt.Errorf("status %d: want 500 or more, since it says nothing about the credential", rule.Status))
		}
		var err error
		if c.refusals[i], err = newTemplate(rule, reason.String()); err != nil {
			return nil, ruleError(rule, err)
		}
	}
	if rule, ok := on[onLoggedOut]; ok {
		if rule.Status == 0 {
			rule.Status = c.fallback().LoggedOut(Request{}).Status
		}
		var err error
		if c.loggedOut, err = newTemplate(rule, onLoggedOut); err != nil {
			return nil, ruleError(rule, err)
		}
	}
	return c, nil
}

// ruleFor is the rule for reason: the most special one there is.
func ruleFor(reason Reason, on map[string]Rule) (Rule, bool) {
	names := []string{reason.String()}
	if wider, ok := general[reason]; ok {
		names = append(names, wider.String())
	}
	for _, name := range append(names, onAny) {
		if rule, ok := on[name]; ok {
			return rule, true
		}
	}
	return Rule{}, false
}

func ruleError(rule Rule, err error) error { return fmt.Errorf("answer to %s: %w", rule.On, err) }

func (c *Custom) fallback() Dialect {
	if c.base == nil {
		return problem
	}
	return c.base
}

// Refuse implements Dialect.
func (c *Custom) Refuse(refusal Refusal) Answer {
	refusal.Reason = refusal.Reason.known()
	if t := c.refusals[refusal.Reason]; t != nil {
		return t.answer(refusal.Request)
	}
	return c.fallback().Refuse(refusal)
}

// LoggedOut implements Dialect.
func (c *Custom) LoggedOut(request Request) Answer {
	if c.loggedOut != nil {
		return c.loggedOut.answer(request)
	}
	return c.fallback().LoggedOut(request)
}

// checkRule checks what a template does not, and returns the media type.
func checkRule(rule Rule) (mediaType string, err error) {
	if rule.Status < 200 || rule.Status > 599 {
		return "", fmt.Errorf("status %d: want 200 to 599", rule.Status)
	}
	noContent := rule.Status == http.StatusNoContent || rule.Status == http.StatusResetContent || rule.Status == http.StatusNotModified
	if noContent && rule.Body != "" {
		return "", fmt.Errorf("status %d cannot have a body", rule.Status)
	}
	if strings.ContainsFunc(rule.ContentType, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", fmt.Errorf("content type %q: want printable ASCII", rule.ContentType)
	}
	if rule.ContentType == "" {
		return typeJSON, nil
	}
	mediaType, _, err = mime.ParseMediaType(rule.ContentType)
	if err != nil || !strings.Contains(mediaType, "/") {
		return "", fmt.Errorf("content type %q: want a media type, such as text/plain; charset=utf-8", rule.ContentType)
	}
	return mediaType, nil
}
