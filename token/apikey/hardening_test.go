package apikey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What is remembered of an ended session, or logged, must not open anything.
func TestTheIDCannotBePresented(t *testing.T) {
	s := sessions(t, secret, noon)
	begun := s.Begin("alice")
	id := strings.TrimPrefix(begun.ID, "session:")
	if id == begun.ID || len(id) < 22 {
		t.Errorf("ID %s", begun.ID)
	}
	forged := make([]byte, rawLength)
	forged[0] = sessionVersion
	copy(forged[1:], must(encoding.DecodeString(id)))
	binary.BigEndian.PutUint64(forged[1+randomLength:], uint64(noon.UnixNano()))
	for _, text := range []string{begun.ID, id, encoding.EncodeToString(forged)} {
		if _, err := s.Parse("alice", text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestForgedSessionsAreRefused(t *testing.T) {
	s := sessions(t, secret, noon)
	text := s.Begin("alice").Text
	raw := must(encoding.DecodeString(text))
	// remade changes the bytes of the session and encodes it again.
	remade := func(change func(raw []byte) []byte) string {
		return encoding.EncodeToString(change(append([]byte(nil), raw...)))
	}
	type attempt struct {
		text string
		want error
	}
	attempts := map[string]attempt{
		"empty":           {"", ErrMalformed},
		"extended":        {text + "A", ErrMalformed},
		"extended within": {remade(func(raw []byte) []byte { return append(raw, 0) }), ErrMalformed},
		"padding":         {text + "=", ErrMalformed},
		"padding inside":  {text[:SessionLength-1] + "=", ErrMalformed},
		"CR LF":           {text + "\r\n", ErrMalformed},
		"LF for the last": {text[:SessionLength-1] + "\n", ErrMalformed},
		"LF inside":       {text[:10] + "\n" + text[10:SessionLength-1], ErrMalformed},
		"CR inside":       {text[:10] + "\r" + text[11:], ErrMalformed},
		"space":           {" " + text[1:], ErrMalformed},
		"NUL":             {text[:SessionLength-1] + "\x00", ErrMalformed},
		"not ASCII":       {text[:SessionLength-2] + "é", ErrMalformed},
		"twice":           {text + text, ErrMalformed},
		"very long":       {strings.Repeat("A", 1<<20), ErrMalformed},
		"all zero":        {strings.Repeat("A", SessionLength), ErrMalformed},
		"other version": {remade(func(raw []byte) []byte {
			raw[0]++
			return raw
		}), ErrMalformed},
		"MAC of zeros": {remade(func(raw []byte) []byte {
			clear(raw[bodyLength:])
			return raw
		}), ErrForeign},
		"an hour later": {remade(func(raw []byte) []byte {
			binary.BigEndian.PutUint64(raw[1+randomLength:], uint64(noon.Add(-time.Hour).UnixNano()))
			return raw
		}), ErrForeign},
	}
	for i := range text {
		attempts[fmt.Sprintf("truncated to %d", i)] = attempt{text[:i], ErrMalformed}
	}
	for i := range raw {
		for bit := range 8 {
			want := ErrForeign
			if i == 0 {
				want = ErrMalformed // the version
			}
			attempts[fmt.Sprintf("bit %d of byte %d", bit, i)] = attempt{remade(func(raw []byte) []byte {
				raw[i] ^= 1 << bit
				return raw
			}), want}
		}
	}
	// The last character has four bits of the MAC and two that are unused.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, c := range alphabet {
		if byte(c) == text[SessionLength-1] {
			continue
		}
		want := ErrForeign
		if strings.IndexRune(alphabet, c)%4 != 0 {
			want = ErrMalformed
		}
		attempts["last character "+string(c)] = attempt{text[:SessionLength-1] + string(c), want}
	}
	for name, a := range attempts {
		if got, err := s.Parse("alice", a.text); !errors.Is(err, a.want) || got != (Session{}) {
			t.Errorf("%s: %v, want %v", name, err, a.want)
		}
	}
	if _, err := s.Parse("alice", text); err != nil {
		t.Errorf("the genuine one: %v", err)
	}
}

// The other alphabet of base64 has the same text for most sessions, but not for all.
func TestOneTextForEachSession(t *testing.T) {
	s := sessions(t, secret, noon)
	for range 200 {
		text := s.Begin("alice").Text
		standard := base64.RawStdEncoding.EncodeToString(must(encoding.DecodeString(text)))
		if standard == text {
			continue
		}
		if _, err := s.Parse("alice", standard); !errors.Is(err, ErrMalformed) {
			t.Fatalf("a second spelling: %v", err)
		}
	}
}

func TestASessionBelongsToItsOwnerAndSecret(t *testing.T) {
	s := sessions(t, secret, noon)
	for name, tc := range map[string]struct {
		by              *Sessions
		owner, presents string
	}{
		"other owner":          {s, "alice", "bob"},
		"no owner":             {s, "alice", ""},
		"made for nobody":      {s, "", "alice"},
		"longer owner":         {s, "alice", "alice\x00"},
		"shorter owner":        {s, "alice", "alic"},
		"other case":           {s, "alice", "Alice"},
		"beyond the buffer":    {s, strings.Repeat("o", 256), strings.Repeat("o", 257)},
		"other secret":         {sessions(t, other, noon), "alice", "alice"},
		"longer secret":        {sessions(t, append(append([]byte(nil), secret...), 0), noon), "alice", "alice"},
		"the time in an owner": {s, "alice", string(binary.BigEndian.AppendUint64(nil, uint64(noon.UnixNano()))) + "alice"},
	} {
		if _, err := s.Parse(tc.presents, tc.by.Begin(tc.owner).Text); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No two sessions have the same bytes authenticated: "a" before an owner "bc" is not "ab"
// before an owner "c", because each length is fixed or stated.
func TestWhatIsAuthenticatedSaysWhereEachPartEnds(t *testing.T) {
	s := sessions(t, secret, noon)
	subkey := must(hkdf.Key(sha256.New, secret, nil, sessionLabel, 32))
	for _, owner := range []string{"", "c", "bc", strings.Repeat("o", 512)} {
		for _, end := range []string{"a", "ab"} {
			var raw [rawLength]byte
			copy(raw[bodyLength-len(end):], end)
			h := hmac.New(sha256.New, subkey)
			fmt.Fprintf(h, "%s%s", sessionLabel, raw[:bodyLength])
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(owner))))
			h.Write([]byte(owner))
			if got := s.sum(&raw, owner); !hmac.Equal(got[:], h.Sum(nil)) {
				t.Errorf("owner %.20q after %q: another MAC", owner, end)
			}
		}
	}
	text := s.Begin("abc").Text
	for _, owner := range []string{"ab", "c", "bc", "a", "abcabc"} {
		if _, err := s.Parse(owner, text); !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v", owner, err)
		}
	}
}
