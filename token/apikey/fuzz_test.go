package apikey

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// FuzzParse checks that nothing is a session but what was begun. With sign, a text of the
// right length gets a genuine MAC, so that the fuzzer gets behind it.
func FuzzParse(f *testing.F) {
	s := sessions(f, secret, noon)
	// The same in every process that the fuzzer starts.
	raw := [rawLength]byte{sessionVersion}
	binary.BigEndian.PutUint64(raw[1+randomLength:], uint64(noon.UnixNano()))
	sum := s.sum(&raw, "alice")
	copy(raw[bodyLength:], sum[:])
	begun := session(&raw, encoding.EncodeToString(raw[:]))
	f.Add("alice", begun.Text, false)
	f.Add("bob", begun.Text, false)
	f.Add("bob", begun.Text, true)
	f.Add("alice", begun.Text+"\n", false)
	f.Fuzz(func(t *testing.T, owner, text string, sign bool) {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if sign && err == nil && len(raw) == rawLength {
			sum := s.sum((*[rawLength]byte)(raw), owner)
			copy(raw[bodyLength:], sum[:])
			text = base64.RawURLEncoding.EncodeToString(raw)
		}
		parsed, err := s.Parse(owner, text)
		genuine := text == begun.Text && owner == "alice" || sign && len(raw) == rawLength && raw[0] == sessionVersion
		if err != nil {
			if parsed != (Session{}) || !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrFuture) {
				t.Fatalf("%v with %v", parsed, err)
			}
			if genuine && !errors.Is(err, ErrFuture) {
				t.Fatalf("a genuine session is refused: %v", err)
			}
			return
		}
		if !genuine {
			t.Fatal("a forged session is accepted")
		}
		if encoding.EncodeToString(raw) != text || parsed.Text != text || len(parsed.ID) != len(begun.ID) {
			t.Fatal("not the one text of this session")
		}
		if parsed.Begun.After(noon.Add(MaxClockDifference)) {
			t.Fatalf("begun in the future: %s", parsed.Begun.Format(time.RFC3339Nano))
		}
	})
}

// FuzzRead compares the reading of a file with another way of doing it.
func FuzzRead(f *testing.F) {
	f.Add([]byte("# keys\n" + line("alice", "key-a") + "\nbob\t" + Hash("key-b") + " # b\r\n"))
	f.Add([]byte(line("alice", "key-a") + line("bob", "key-a")))
	f.Add([]byte("alice " + strings.ToUpper(Hash("key-a"))))
	f.Fuzz(func(t *testing.T, content []byte) {
		k := &Keys{names: make(map[digest]string)}
		err := k.read(bytes.NewReader(content))
		want, wrong := reference(string(content))
		if (err != nil) != (wrong > 0) {
			t.Fatalf("%v, but the first wrong line is %d", err, wrong)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), fmt.Sprintf("%d: ", wrong)) {
				t.Fatalf("%q, but the first wrong line is %d", err, wrong)
			}
			if longestHex(err.Error()) >= 32 && !strings.Contains(err.Error(), "have the same hash") && !strings.Contains(err.Error(), "is there twice") {
				t.Fatalf("%q shows a hash", err)
			}
			return
		}
		if len(want) != k.Len() {
			t.Fatalf("%d keys, want %d", k.Len(), len(want))
		}
		for sum, name := range k.names {
			if want[hex.EncodeToString(sum[:])] != name {
				t.Fatalf("%q is not there", name)
			}
		}
	})
}

// reference returns names by hash, or the first line that is wrong.
func reference(content string) (names map[string]string, wrong int) {
	names = make(map[string]string)
	if content == "" {
		return names, 0
	}
	for i, line := range strings.Split(strings.TrimSuffix(content, "\n"), "\n") {
		before, _, _ := strings.Cut(line, "#")
		words := strings.Fields(before)
		if len(line) <= maxLine && len(words) == 0 {
			continue
		}
		if len(line) > maxLine || len(words) != 2 {
			return nil, i + 1
		}
		name, hash := words[0], strings.ToLower(words[1])
		sum, err := hex.DecodeString(strings.TrimPrefix(hash, "sha256:"))
		_, taken := names[hex.EncodeToString(sum)]
		if err != nil || len(sum) != 32 || !strings.HasPrefix(words[1], "sha256:") || sum[0] == 0xe3 && hash == Hash("") || taken {
			return nil, i + 1
		}
		if len(name) > MaxNameLength || !utf8.ValidString(name) || strings.HasPrefix(name, "sha256:") ||
			strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			return nil, i + 1
		}
		names[hex.EncodeToString(sum)] = name
	}
	return names, 0
}

// longestHex returns the length of the longest row of hexadecimal digits.
func longestHex(text string) int {
	longest := 0
	for _, row := range strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) }) {
		longest = max(longest, len(row))
	}
	return longest
}
