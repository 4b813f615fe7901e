package jsonrpc

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// answerHead is how nearly all servers begin an answer.
	answerHead = `{"jsonrpc":"2.0","id":`
	// maxPlainID is how many digits an id may have for plainAnswer: fewer than those that a
	// 64-bit float could not hold.
	maxPlainID = 15
)

// plainAnswer returns the id of an answer in the usual form whose id is a plain integer. It
// looks at the beginning alone: a text for which Parse finds another id is one that it
// refuses.
func plainAnswer(message []byte) (id jsontext.Value, ok bool) {
	rest, ok := bytes.CutPrefix(message, []byte(answerHead))
	if !ok {
		return nil, false
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	id, rest = jsontext.Value(rest[:digits]), rest[digits:]
	if digits == 0 || digits > maxPlainID || digits > 1 && id[0] == '0' {
		return nil, false
	}
	return id, bytes.HasPrefix(rest, []byte(`,"result":`)) || bytes.HasPrefix(rest, []byte(`,"error":`))
}

// settlesPlain reports whether message answers nothing but an ordinary call, or none, and
// so need not be read. It takes note of that.
func (s *Session) settlesPlain(message []byte) bool {
	id, ok := plainAnswer(message)
	if !ok {
		return false
	}
	key := keyOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o := s.open[key]; {
	case s.auth != nil || o != nil && o.role.observed():
		return false
	case o != nil:
		s.settleOne(key, o)
	}
	return true
}
