package caddymodule_test

import (
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// serialisations are genuine tokens in another form than the compact one of three parts.
func (f *forge) serialisations() []attack {
	raw := f.genuine("HS256")
	parts := strings.Split(raw, ".")
	h, p, sig := parts[0], parts[1], parts[2]
	flattened := `{"protected":"` + h + `","payload":"` + p + `","signature":"` + sig + `"}`
	general := `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + sig + `"}]}`
	return append(tokens(
		"one part", h,
		"two parts", h+"."+p,
		"four parts", raw+".AAAA",
		"five parts", raw+".AAAA.AAAA",
		"four parts, an empty one before", "."+raw,
		"four parts, an empty one behind", raw+".",
		"the signature twice", raw+"."+sig,
		"empty header", "."+p+"."+sig,
		"empty payload", h+".."+sig,
		"empty signature", h+"."+p+".",
		"only a header", h+"..",
		"only a payload", "."+p+".",
		"only a signature", ".."+sig,
		"only dots", "..",
		"one dot", ".",
		"four dots", "....",
		"parts in another order", p+"."+h+"."+sig,
		"slashes for dots", h+"/"+p+"/"+sig,
		"tildes behind, as selective disclosure has", raw+"~",
		"two tokens in a row", raw+raw,
		"two tokens with a dot", raw+"."+raw,
		"JSON, flattened", flattened,
		"JSON, general", general,
		"JSON, flattened, in base64url", encode(flattened),
		"JSON, general, in base64url", encode(general),
		"JSON, compact token as a string", `"`+raw+`"`,
		"base64url of the token", encode(raw),
		"upper case", strings.ToUpper(raw),
		"opaque", "1554897600000.1a2b3c.aGVsbG8",
		"a word", "undefined",
	), f.encrypted()...)
}

// encrypted are tokens for the owner of the RSA key (RFC 7516), which anyone can make.
func (f *forge) encrypted() []attack {
	seal := func(recipient jose.Recipient, contentType jose.ContentType, plain string) string {
		encrypter, err := jose.NewEncrypter(jose.A128CBC_HS256, recipient, new(jose.EncrypterOptions).WithContentType(contentType))
		if err != nil {
			f.t.Fatal(err)
		}
		sealed, err := encrypter.Encrypt([]byte(plain))
		if err != nil {
			f.t.Fatal(err)
		}
		raw, err := sealed.CompactSerialize()
		if err != nil {
			f.t.Fatal(err)
		}
		return raw
	}
	unsecured := encode(`{"alg":"none"}`) + "." + encode(f.payload()) + "."
	forRSA := jose.Recipient{Algorithm: jose.RSA_OAEP, Key: f.own.rsa.Public()}
	return tokens(
		"encrypted claims", seal(forRSA, "", f.payload()),
		"encrypted unsecured token", seal(forRSA, "JWT", unsecured),
		"encrypted genuine token", seal(forRSA, "JWT", f.genuine("HS256")),
		"encrypted with the secret", seal(jose.Recipient{Algorithm: jose.DIRECT, Key: []byte(testSecret)}, "", f.payload()),
		"nested genuine token", assemble(`{"alg":"HS256","cty":"JWT"}`, f.genuine("HS256"), f.hmac()),
		"nested unsecured token", assemble(`{"alg":"HS256","cty":"JWT"}`, unsecured, f.hmac()),
	)
}

// ofLength returns a genuine token of n bytes, or up to two less.
func (f *forge) ofLength(n int) string {
	frame := len(f.claims("x", `""`))
	raw := f.claims("x", `"`+strings.Repeat("x", (n-frame)*3/4)+`"`)
	if len(raw) > n || len(raw) < n-2 {
		f.t.Fatalf("%d bytes instead of %d", len(raw), n)
	}
	return raw
}

// sizes are tokens above 8 KiB; but for that they are genuine.
func (f *forge) sizes() []attack {
	var rows []attack
	for _, n := range []int{8195, 10_000, 15_000} {
		rows = append(rows, attack{name: fmt.Sprintf("token of %d bytes", n), token: f.ofLength(n)})
	}
	return append(rows, tokens(
		"huge kid", assemble(`{"alg":"HS256","kid":"`+strings.Repeat("k", 9000)+`"}`, f.payload(), f.hmac()),
		"nothing but dots", strings.Repeat(".", 15_000),
		"nothing but letters", strings.Repeat("A", 15_000),
	)...)
}
