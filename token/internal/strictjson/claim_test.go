package strictjson

import (
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestIdentifierIsAStringOrAPlainInteger(t *testing.T) {
	for value, want := range map[string]string{
		`"alice"`: "alice", `"0"`: "0", `0`: "0", `42`: "42", `-7`: "-7",
		`""`: "", `-0`: "", `1.0`: "", `1e3`: "", `1E3`: "", `true`: "", `null`: "", `{}`: "", `["alice"]`: "",
	} {
		if got, ok := Identifier(jsontext.Value(value)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", value, got, ok)
		}
	}
}

func TestOneOrMoreIsAStringOrAnArrayOfStrings(t *testing.T) {
	for value, want := range map[string][]string{
		`"a"`: {"a"}, `["a","b"]`: {"a", "b"}, `["a",1]`: nil, `1`: nil, `{}`: nil, `null`: nil,
	} {
		if got, ok := OneOrMore(jsontext.Value(value)); !slices.Equal(got, want) || ok != (want != nil) {
			t.Errorf("%s: %q, %v", value, got, ok)
		}
	}
}

func TestNumericDateIsExactToTheMicrosecond(t *testing.T) {
	for value, want := range map[string]int64{
		`1`: 1e6, `1.5`: 1500000, `1E3`: 1e9, `4102444800.000001`: 4102444800000001, `253402300799`: 253402300799e6,
		`0`: 0, `-1`: 0, `1e-9`: 0, `253402300800`: 0, `1e400`: 0, `"1"`: 0, `true`: 0, `null`: 0,
	} {
		if got, ok := NumericDate(jsontext.Value(value)); ok != (want != 0) || ok && got != want {
			t.Errorf("%s: %d, %v", value, got, ok)
		}
	}
}

func TestStartMayLieInAnyPast(t *testing.T) {
	for value, want := range map[string]int64{
		`0`: 0, `-0`: 0, `0.0`: 0, `-1`: 0, `-1e300`: 0, `1e-9`: 0, `1.5`: 1500000, `253402300799`: 253402300799e6,
		`253402300800`: -1, `1e400`: -1, `-1e400`: -1, `"0"`: -1, `false`: -1, `null`: -1, `[]`: -1,
	} {
		if got, ok := Start(jsontext.Value(value)); ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: %d, %t", value, got, ok)
		}
	}
}

func TestTextIsAValueWithoutWhiteSpace(t *testing.T) {
	for value, want := range map[string]string{
		`"a\u0062"`: "ab", `1.50`: "1.50", `false`: "false", `null`: "null", `{ "a": [1, 2] }`: `{"a":[1,2]}`,
	} {
		if got, err := Text(jsontext.Value(value)); err != nil || got != want {
			t.Errorf("%s: %q, %v", value, got, err)
		}
	}
}
