package jsonrpc

import (
	"bytes"
	"crypto/sha256"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// validID reports whether value can be an id (JSON-RPC 2.0 §4).
func validID(value jsontext.Value) bool {
	switch value.Kind() {
	case '"', '0', 'n':
		return len(value) <= MaxID
	default:
		return false
	}
}

// comesBack reports whether even a server whose numbers are 64-bit floats, or whose strings
// end with NUL, sends an id back as it is.
func comesBack(id jsontext.Value) bool {
	if text, ok := stringOf(id); ok {
		return !strings.Contains(text, "\x00")
	}
	number, err := strconv.ParseFloat(string(id), 64)
	return err == nil && math.Abs(number) < maxExact
}

// idKey tells ids apart in little space. Two ids have the same key if a server may
// send back one for the other: strings whatever their escapes, 1 and 1.0.
type idKey [16]byte

func keyOf(id jsontext.Value) idKey {
	sum := sha256.Sum256(canonicalID(id))
	return idKey(sum[:len(idKey{})])
}

// maxExact is the first integer that not every number beyond can be told from as a
// 64-bit float.
const maxExact = 1 << 53

func canonicalID(id jsontext.Value) []byte {
	switch {
	case id.Kind() == '"':
		text, _ := stringOf(id)
		return append([]byte{'"'}, text...)
	case string(id) == "-0":
		return []byte("0")
	case !bytes.ContainsAny(id, ".eE"):
		return id // an integer: all its digits count, more than a float could hold
	}
	number, err := strconv.ParseFloat(string(id), 64)
	switch {
	case err != nil:
		return id
	case number == float64(int64(number)) && number > -maxExact && number < maxExact:
		return strconv.AppendInt(nil, int64(number), 10)
	default:
		return strconv.AppendFloat(nil, number, 'g', -1, 64)
	}
}
