package caddymodule_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
)

// signatures are those of genuine tokens, damaged, and some that are good for everything
// where a library forgets a check.
func (f *forge) signatures() []attack {
	var rows []attack
	add := func(name, alg string, change func(input string, signature []byte) []byte) {
		sign := f.signerOf(alg)
		rows = append(rows, attack{name: name + ", " + alg, token: assemble(`{"alg":"`+alg+`"}`, f.payload(),
			func(input string) []byte { return change(input, sign(input)) })})
	}
	for _, alg := range []string{"HS256", "RS256", "PS256", "ES256", "EdDSA"} {
		add("one byte less", alg, func(_ string, s []byte) []byte { return s[:len(s)-1] })
		add("half", alg, func(_ string, s []byte) []byte { return s[:len(s)/2] })
		add("one byte", alg, func(_ string, s []byte) []byte { return s[:1] })
		add("a byte behind", alg, func(_ string, s []byte) []byte { return append(s, 0) })
		add("a byte before", alg, func(_ string, s []byte) []byte { return append([]byte{0}, s...) })
		add("twice", alg, func(_ string, s []byte) []byte { return append(s, s...) })
		add("first bit", alg, func(_ string, s []byte) []byte { s[0] ^= 0x80; return s })
		add("last bit", alg, func(_ string, s []byte) []byte { s[len(s)-1] ^= 1; return s })
		add("zeros", alg, func(_ string, s []byte) []byte { return make([]byte, len(s)) })
		add("ones", alg, func(_ string, s []byte) []byte { return bytes.Repeat([]byte{0xff}, len(s)) })
		add("reversed", alg, func(_ string, s []byte) []byte { return reversed(s) })
		add("of another token", alg, func(input string, _ []byte) []byte { return f.signerOf(alg)(input + "A") })
	}
	order := elliptic.P256().Params().N
	zero, one := new(big.Int), big.NewInt(1)
	for name, rs := range map[string][2]*big.Int{
		"r and s are the order": {order, order}, "r is one, s is zero": {one, zero}, "r and s are one": {one, one}, "s is the order": {one, order},
	} {
		add(name, "ES256", func(string, []byte) []byte { return pairOf(rs[0], rs[1], 32) })
	}
	read := func(s []byte) (*big.Int, *big.Int) {
		return new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])
	}
	add("r is zero", "ES256", func(_ string, s []byte) []byte { _, b := read(s); return pairOf(zero, b, 32) })
	add("s is zero", "ES256", func(_ string, s []byte) []byte { a, _ := read(s); return pairOf(a, zero, 32) })
	add("r is the order", "ES256", func(_ string, s []byte) []byte { _, b := read(s); return pairOf(order, b, 32) })
	add("33 bytes each", "ES256", func(_ string, s []byte) []byte { a, b := read(s); return pairOf(a, b, 33) })
	add("r and s swapped", "ES256", func(_ string, s []byte) []byte { a, b := read(s); return pairOf(b, a, 32) })
	add("r negated", "ES256", func(_ string, s []byte) []byte { a, b := read(s); return pairOf(new(big.Int).Sub(order, a), b, 32) })
	add("DER", "ES256", func(input string, _ []byte) []byte {
		sum := sha256.Sum256([]byte(input))
		signature, err := ecdsa.SignASN1(rand.Reader, f.own.ec, sum[:])
		if err != nil {
			f.t.Fatal(err)
		}
		return signature
	})
	add("neutral point and zero", "EdDSA", func(_ string, s []byte) []byte { return append([]byte{1}, make([]byte, len(s)-1)...) })
	add("one", "RS256", func(_ string, s []byte) []byte { return append(make([]byte, len(s)-1), 1) })
	add("with the modulus added", "RS256", func(_ string, s []byte) []byte { return plusModulus(s, f.own.rsa.N) })
	add("with the modulus added", "PS256", func(_ string, s []byte) []byte { return plusModulus(s, f.own.rsa.N) })
	add("with the order added", "EdDSA", func(_ string, s []byte) []byte { return plusEdwardsOrder(s) })
	return rows
}

// pairOf is an ECDSA signature with size bytes for each number.
func pairOf(r, s *big.Int, size int) []byte {
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

func reversed(b []byte) []byte {
	other := make([]byte, len(b))
	for i := range b {
		other[len(b)-1-i] = b[i]
	}
	return other
}

// plusModulus is the same number to a verifier that does not look at the range.
func plusModulus(signature []byte, modulus *big.Int) []byte {
	return new(big.Int).Add(new(big.Int).SetBytes(signature), modulus).Bytes()
}

// plusEdwardsOrder adds the order of the group to S (RFC 8032 §5.1.7 forbids it).
func plusEdwardsOrder(signature []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := new(big.Int).SetBytes(reversed(signature[32:]))
	return append(bytes.Clone(signature[:32]), reversed(s.Add(s, order).FillBytes(make([]byte, 32)))...)
}

// negated is (r, n-s), which is as good an ECDSA signature as (r, s).
func negated(signature []byte) []byte {
	s := new(big.Int).SetBytes(signature[32:])
	return pairOf(new(big.Int).SetBytes(signature[:32]), s.Sub(elliptic.P256().Params().N, s), 32)
}
