package token

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestBearerFromHeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []string
		want   string
		err    error
	}{
		{"a token", []string{"Bearer abc.def.ghi"}, "abc.def.ghi", nil},
		{"the scheme has no case", []string{"bEARER abc"}, "abc", nil},
		{"several spaces", []string{"Bearer   abc"}, "abc", nil},
		{"all of b64token", []string{"Bearer azAZ09-._~+/=="}, "azAZ09-._~+/==", nil},
		{"the same field twice", []string{"Bearer abc", "Bearer abc"}, "abc", nil},
		{"the same credential twice", []string{"Bearer abc", "bearer  abc"}, "abc", nil},

		{"no field", nil, "", ErrMissing},
		{"an empty field", []string{""}, "", ErrMissing},
		{"two empty fields", []string{"", ""}, "", ErrMissing},

		{"two tokens", []string{"Bearer abc", "Bearer abd"}, "", ErrConflict},
		{"two tokens, the good one twice", []string{"Bearer abc", "Bearer abc", "Bearer abd"}, "", ErrConflict},
		{"tokens differ in case", []string{"Bearer abc", "Bearer ABC"}, "", ErrConflict},
		{"another scheme after it", []string{"Bearer abc", "Basic abc="}, "", ErrConflict},
		{"another scheme before it", []string{"Basic abc=", "Bearer abc"}, "", ErrConflict},
		{"nothing after it", []string{"Bearer abc", ""}, "", ErrConflict},
		{"nothing before it", []string{"", "Bearer abc"}, "", ErrConflict},

		{"a list of two", []string{"Bearer abc, Bearer def"}, "", ErrMalformed},
		{"a list without spaces", []string{"Bearer abc,def"}, "", ErrMalformed},
		{"another scheme", []string{"Basic YTpi"}, "", ErrMalformed},
		{"another scheme twice", []string{"Basic YTpi", "Basic YTpi"}, "", ErrMalformed},
		{"only the scheme", []string{"Bearer"}, "", ErrMalformed},
		{"only the scheme and spaces", []string{"Bearer   "}, "", ErrMalformed},
		{"no space", []string{"Bearerabc"}, "", ErrMalformed},
		{"a tab", []string{"Bearer\tabc"}, "", ErrMalformed},
		{"a tab after the space", []string{"Bearer \tabc"}, "", ErrMalformed},
		{"space before", []string{" Bearer abc"}, "", ErrMalformed},
		{"space behind", []string{"Bearer abc "}, "", ErrMalformed},
		{"padding inside", []string{"Bearer ab=c"}, "", ErrMalformed},
		{"nothing but padding", []string{"Bearer =="}, "", ErrMalformed},
		{"a quote", []string{`Bearer "abc"`}, "", ErrMalformed},
		{"a line break", []string{"Bearer abc\r\nX: y"}, "", ErrMalformed},
		{"a byte that is not ASCII", []string{"Bearer abc\xc3\xa9"}, "", ErrMalformed},
		{"a scheme that only folds to it", []string{"Bea\u0280er abc"}, "", ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if c.values != nil {
				h["Authorization"] = c.values
			}
			got, err := BearerFromHeader(h)
			if got != c.want || !errors.Is(err, c.err) {
				t.Fatalf("BearerFromHeader(%q) = %q, %v; want %q, %v", c.values, got, err, c.want, c.err)
			}
		})
	}
}

// Every byte, at every place of the eight that are read at once.
func TestBearerFromHeaderTakesExactlyTheB64TokenCharacters(t *testing.T) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
	for b := range 256 {
		for at := range 19 {
			token := []byte(strings.Repeat("x", 20))
			token[at] = byte(b)
			_, err := BearerFromHeader(http.Header{"Authorization": {"Bearer " + string(token)}})
			want := strings.IndexByte(allowed, byte(b)) >= 0 || (b == ' ' && at == 0)
			if (err == nil) != want {
				t.Fatalf("byte %#x at %d: %v", b, at, err)
			}
		}
	}
}

func TestBearerFromHeaderDoesNotAllocate(t *testing.T) {
	h := http.Header{"Authorization": {"Bearer " + hs256(good(""))}}
	if n := testing.AllocsPerRun(100, func() { _, _ = BearerFromHeader(h) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
