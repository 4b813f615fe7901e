package differential

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// request is a raw request in which {LIVE}, {REVOKED}, {RLIVE} and {RREVOKED} stand for an
// access and a refresh token of the client that is logged in and of the one that has
// logged out. Each {RLIVE} of a request is a token that has never been used.
type request struct {
	name string
	// setups are the names of the configurations that it is for; empty for all.
	setups []string
	// lines are the request line and the header fields.
	lines []string
	body  string
}

// raw returns the bytes of the request. Where they are missing it adds Host and the length
// of the body, and always that the connection is to be closed. With chunked it makes a chunk
// of the body.
func (r *request) raw(tokens *strings.Replacer) string {
	body := tokens.Replace(r.body)
	if r.isChunked() {
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	var b strings.Builder
	b.WriteString(tokens.Replace(r.lines[0]) + "\r\n")
	if !r.has("host") {
		b.WriteString("Host: api.example\r\n")
	}
	b.WriteString("Connection: close\r\n")
	for _, line := range r.lines[1:] {
		b.WriteString(tokens.Replace(line) + "\r\n")
	}
	if body != "" && !r.has("content-length") && !r.has("transfer-encoding") {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	return b.String() + "\r\n" + body
}

func (r *request) isChunked() bool {
	return slices.ContainsFunc(r.lines[1:], func(line string) bool {
		name, value, _ := strings.Cut(line, ":")
		return strings.EqualFold(name, "Transfer-Encoding") && strings.Contains(value, "chunked")
	})
}

// has reports whether there is a header field of this name.
func (r *request) has(name string) bool {
	return slices.ContainsFunc(r.lines[1:], func(line string) bool {
		field, _, _ := strings.Cut(line, ":")
		return strings.EqualFold(strings.TrimSpace(field), name)
	})
}

// mentions reports whether it carries this token.
func (r *request) mentions(placeholder string) bool {
	return strings.Contains(r.body, placeholder) || slices.ContainsFunc(r.lines, func(line string) bool { return strings.Contains(line, placeholder) })
}

// isFor reports whether it is to be sent to s.
func (r *request) isFor(s *setup) bool {
	return len(r.setups) == 0 || slices.Contains(r.setups, s.name)
}

// String is the form of testdata.
func (r *request) String() string {
	text := "### " + r.name
	if len(r.setups) > 0 {
		text += " [" + strings.Join(r.setups, " ") + "]"
	}
	for _, line := range append(slices.Clone(r.lines), "") {
		text += "\n" + escape(line)
	}
	return text + "\n" + escape(r.body)
}

// escape writes a text with \xNN and the like for what cannot be seen.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape is the reverse of escape.
func unescape(text string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
}

// readRequests reads a file of testdata: each request begins with ### and its name, the
// configurations that it is for stand in brackets behind it, and an empty line is before
// the body. What is before the first is a comment.
func readRequests(t *testing.T, file string) []*request {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var requests []*request
	for i, block := range strings.Split("\n"+string(text), "\n### ") {
		if i == 0 {
			continue
		}
		r, err := parseRequest(block)
		if err != nil {
			t.Fatalf("%s: %v in:\n%s", file, err, block)
		}
		if slices.ContainsFunc(requests, func(other *request) bool { return other.name == r.name }) {
			t.Fatalf("%s: two requests %q", file, r.name)
		}
		requests = append(requests, r)
	}
	return requests
}

func parseRequest(block string) (*request, error) {
	name, rest, _ := strings.Cut(strings.TrimRight(block, "\n"), "\n")
	head, body, _ := strings.Cut(rest, "\n\n")
	r := &request{name: name}
	if title, names, ok := strings.Cut(name, " ["); ok {
		r.name, r.setups = title, strings.Fields(strings.TrimSuffix(names, "]"))
		for _, n := range r.setups {
			if setupNamed(n) == nil {
				return nil, fmt.Errorf("no configuration %q", n)
			}
		}
	}
	var err error
	if r.body, err = unescape(strings.ReplaceAll(body, "\n", `\n`)); err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(head, "\n") {
		if line, err = unescape(line); err != nil {
			return nil, err
		}
		r.lines = append(r.lines, line)
	}
	return r, nil
}
