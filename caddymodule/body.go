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
)

// maxRequestBody bounds the bodies that must be read before they are forwarded:
// requests to refresh a token. A refresh token of the largest size, escaped, fits.
const maxRequestBody = 64 << 10

var (
	errBodyTooLarge = fmt.Errorf("request body larger than %d bytes", maxRequestBody)
	errNotJSON      = errors.New("request body is not JSON in UTF-8")

	errNotStrictJSON = errors.New("not one strict JSON value")
)

// readBody reads the whole body of r, which must be JSON and not compressed, and
// puts it back. A body that another party could read differently is refused: an
// upstream that parses forms would see another token in it than we do.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if contentType := r.Header.Get("Content-Type"); contentType != "" || len(r.Header["Content-Type"]) > 1 {
		mediaType, parameters, err := mime.ParseMediaType(contentType)
		charset, hasCharset := parameters["charset"]
		if err != nil || len(r.Header["Content-Type"]) > 1 || hasCharset && !strings.EqualFold(charset, "utf-8") ||
			(mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json")) {
			return nil, errNotJSON
		}
	}
	if len(r.Header["Content-Encoding"]) > 0 {
		return nil, errNotJSON
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, errBodyTooLarge
		}
		return nil, fmt.Errorf("read request body: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Header.Del("Transfer-Encoding")
	return body, nil
}

// jsonPath is a path of object member names, written with dots: data.access_token.
type jsonPath []string

func parseJSONPath(s string) (jsonPath, error) {
	if s == "" {
		return nil, nil
	}
	path := strings.Split(s, ".")
	if slices.Contains(path, "") {
		return nil, fmt.Errorf("JSON path %q: empty member name", s)
	}
	return path, nil
}

// maxJSONDepth bounds the nesting of a document that is searched.
const maxJSONDepth = 64

var errAmbiguous = errors.New("a member's name occurs twice or in another spelling")

// find returns the string at path in a JSON document, or the text of an integer;
// "" if there is none. The whole document must be valid (RFC 8259), with no
// duplicate names. Along the path there must also be no name that differs in case
// alone, since some parsers do not tell them apart.
func (path jsonPath) find(document []byte) (string, error) {
	d := jsontext.NewDecoder(bytes.NewReader(document))
	value, err := path.findIn(d)
	if errors.Is(err, errAmbiguous) {
		return "", err
	}
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return value, nil
		}
	}
	// The errors of the decoder quote the document.
	return "", fmt.Errorf("%w, at byte %d", errNotStrictJSON, d.InputOffset())
}

// findIn reads one value from d and returns what is at path within it.
func (path jsonPath) findIn(d *jsontext.Decoder) (string, error) {
	if d.StackDepth() > maxJSONDepth {
		return "", errors.New("JSON nested too deeply")
	}
	if len(path) == 0 || d.PeekKind() != '{' {
		value, err := d.ReadValue()
		if err != nil || len(path) > 0 {
			return "", err
		}
		return scalarText(value)
	}
	if _, err := d.ReadToken(); err != nil {
		return "", err
	}
	found := ""
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return "", err
		}
		switch member := name.String(); {
		case member == path[0]:
			if found, err = path[1:].findIn(d); err != nil {
				return "", err
			}
		case strings.EqualFold(member, path[0]):
			return "", errAmbiguous
		default:
			if err := d.SkipValue(); err != nil {
				return "", err
			}
		}
	}
	_, err := d.ReadToken()
	return found, err
}

// scalarText returns a JSON string's content or an integer's text, and "" for anything else.
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
	default:
		return "", nil
	}
}
