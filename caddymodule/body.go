package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/request"
)

// maxRequestBody bounds the bodies that must be read before they are forwarded:
// requests to refresh a token. A refresh token of the largest size, escaped, fits.
const maxRequestBody = 64 << 10

var (
	errBodyTooLarge = errors.New("request body larger than what is read")
	errNotJSON      = errors.New("request body is not of a kind that is read here, in UTF-8 and without compression")
	errNotForm      = errors.New("request body is not a form")

	errNotStrictJSON = errors.New("not one strict JSON value")
)

// bodyKind returns inJSON or inForm. A body of another kind, or that another party could
// take for one, is an error: an upstream would see another token in it than we do.
// Without a Content-Type it is JSON.
func bodyKind(r *http.Request) (string, error) {
	if len(r.Header["Content-Encoding"]) > 0 || len(r.Header["Content-Type"]) > 1 {
		return "", errNotJSON
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" {
		return inJSON, nil
	}
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	charset, hasCharset := parameters["charset"]
	switch {
	case err != nil, hasCharset && !strings.EqualFold(charset, "utf-8"):
		return "", errNotJSON
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
		return inJSON, nil
	case mediaType == "application/x-www-form-urlencoded":
		return inForm, nil
	}
	return "", errNotJSON
}

// readAnyBody reads a body that nobody else need read in the same way: JSON by whatever name,
// with a byte order mark or without (RFC 8259 §8.1), or a form.
func readAnyBody(r *http.Request) (kind string, body []byte, err error) {
	if body, err = readBody(r); err != nil || len(body) == 0 {
		return "", nil, err
	}
	if kind, err = bodyKind(r); err != nil && !isPlainText(r) {
		return "", nil, err
	}
	if kind != inForm {
		return inJSON, withoutByteOrderMark(body), nil
	}
	return inForm, body, nil
}

func withoutByteOrderMark(document []byte) []byte {
	return bytes.TrimPrefix(document, []byte("\ufeff"))
}

// readBody reads the whole body of r, at most maxRequestBody bytes, and puts it back.
func readBody(r *http.Request) ([]byte, error) {
	return readBodyUpTo(r, maxRequestBody)
}

func readBodyUpTo(r *http.Request, limit int64) ([]byte, error) {
	from := r.Body
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errBodyTooLarge
	}
	if err != nil {
		// Whoever goes on with the request finds it as it was.
		r.Body = &restoredBody{io.MultiReader(bytes.NewReader(body), from), from}
		return nil, fmt.Errorf("read request body: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Header.Del("Transfer-Encoding")
	return body, nil
}

// restoredBody is a body of which the beginning was read.
type restoredBody struct {
	io.Reader
	io.Closer
}

// readJSON is readBody for a body that must be JSON.
func readJSON(r *http.Request) ([]byte, error) {
	if kind, err := bodyKind(r); err != nil || kind != inJSON {
		return nil, errNotJSON
	}
	return readBody(r)
}

// jsonPath is a path of object member names, written with dots: data.access_token.
type jsonPath []request.Name

func parseJSONPath(s string) (jsonPath, error) {
	if s == "" {
		return nil, nil
	}
	members := strings.Split(s, ".")
	if slices.Contains(members, "") {
		return nil, fmt.Errorf("JSON path %q: empty member name", s)
	}
	return request.NewNames(members...), nil
}

// maxJSONDepth bounds the nesting of a document that is searched.
const maxJSONDepth = 64

var errAmbiguous = errors.New("a member's name occurs twice or in another spelling")

// find returns the string at path in a JSON document, or the text of an integer;
// "" if there is none, or something else. The whole document must be valid (RFC 8259), with no
// duplicate names. Along the path there must also be no name that only resembles the one of
// the path, since some parsers do not tell them apart, unless it has the same value.
func (path jsonPath) find(document []byte) (string, error) {
	value, err := path.findValue(document)
	if err != nil || value.Kind() == 't' || value.Kind() == 'f' {
		return "", err
	}
	return scalarText(value)
}

// findText is find for a token in a request: what stands in its place must be a string, and the
// document an object. Some upstream may take the one in ["…"].
func (path jsonPath) findText(document []byte) (string, error) {
	value, err := path.findValue(document)
	if err != nil {
		return "", err
	}
	whole := jsontext.Value(bytes.TrimSpace(document)).Kind()
	switch kind := value.Kind(); {
	case kind == '"':
		return scalarText(value)
	case kind == 'n', kind == 0 && (whole == '{' || whole == 'n'):
		return "", nil
	default:
		return "", errAmbiguous
	}
}

// findScalar is find, but for true and false, which it returns too.
func (path jsonPath) findScalar(document []byte) (string, error) {
	value, err := path.findValue(document)
	if err != nil {
		return "", err
	}
	return scalarText(value)
}

// findValue returns the value at path, or nil if there is none.
func (path jsonPath) findValue(document []byte) (jsontext.Value, error) {
	d := jsontext.NewDecoder(bytes.NewReader(document))
	value, err := path.findIn(d)
	if errors.Is(err, errAmbiguous) {
		return nil, err
	}
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return value, nil
		}
	}
	// The errors of the decoder quote the document.
	return nil, fmt.Errorf("%w, at byte %d", errNotStrictJSON, d.InputOffset())
}

// findIn reads one value from d and returns what is at path within it.
func (path jsonPath) findIn(d *jsontext.Decoder) (jsontext.Value, error) {
	if d.StackDepth() > maxJSONDepth {
		return nil, errors.New("JSON nested too deeply")
	}
	if len(path) == 0 || d.PeekKind() != '{' {
		value, err := d.ReadValue()
		if err != nil || len(path) > 0 {
			return nil, err
		}
		return value.Clone(), nil
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var found jsontext.Value
	var alike []jsontext.Value
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		switch member := name.String(); {
		case path[0].Is(member):
			if found, err = path[1:].findIn(d); err != nil {
				return nil, err
			}
		case path[0].Resembles(member):
			other, err := path[1:].findIn(d)
			if err != nil {
				return nil, err
			}
			alike = append(alike, other)
		default:
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
		}
	}
	if slices.ContainsFunc(alike, func(other jsontext.Value) bool { return other.Kind() != 'n' && !bytes.Equal(other, found) }) {
		return nil, errAmbiguous
	}
	_, err := d.ReadToken()
	return found, err
}

// scalarText returns a JSON string's content, an integer's text, "true" or "false", and ""
// for anything else.
func scalarText(value jsontext.Value) (string, error) {
	switch value.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		return string(text), err
	case '0':
		if bytes.ContainsAny(value, ".eE") {
			return "", nil
		}
		return string(value), nil
	case 't', 'f':
		return string(value), nil
	default:
		return "", nil
	}
}
