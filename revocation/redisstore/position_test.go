package redisstore

import (
	"math"
	"testing"

	"example.com/caddy-token-auth/revocation"
)

func somePosition() position {
	var p position
	for i := range p {
		p[i] = place{ms: uint64(i) << 40, seq: math.MaxUint64 - uint64(i), nonce: [nonceLength]byte{byte(i), 0xff}}
	}
	return p
}

func TestPositionsAreKept(t *testing.T) {
	for _, want := range []position{{}, somePosition()} {
		if got, ok := decodePosition(want.encode()); !ok || got != want {
			t.Errorf("got %v, %v, want %v", got, ok, want)
		}
	}
	text := somePosition()
	encoded := text.encode()
	for _, spoiled := range []revocation.Position{"", "1.", encoded[1:], encoded + "A", encoded[:len(encoded)-1], "2" + encoded[1:], encoded[:5] + "\n" + encoded[6:], encoded[:5] + "*" + encoded[6:]} {
		if _, ok := decodePosition(spoiled); ok {
			t.Errorf("%q is taken for a position", spoiled)
		}
	}
}

func TestIDsOfChanges(t *testing.T) {
	for _, id := range []string{"0-0", "1-2", "18446744073709551615-18446744073709551615"} {
		var p place
		if err := p.setID(id); err != nil || p.id() != id {
			t.Errorf("%q became %q, %v", id, p.id(), err)
		}
	}
	for _, id := range []string{"", "1", "-", "1-", "-1", "a-1", "1-1-1", "18446744073709551616-0"} {
		if err := new(place).setID(id); err == nil {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

func FuzzDecodePosition(f *testing.F) {
	p := somePosition()
	f.Add(string(p.encode()))
	f.Add("1.")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := decodePosition(revocation.Position(text)); ok && string(p.encode()) != text {
			t.Fatalf("%q is another form of %q", text, p.encode())
		}
	})
}
