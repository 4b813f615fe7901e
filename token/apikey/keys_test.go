package apikey

import (
	"strings"
	"testing"
)

func TestHashIsTheSHA256OfTheKey(t *testing.T) {
	// FIPS 180-4's example.
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := Hash("abc"); got != want {
		t.Errorf("%s", got)
	}
}

func TestOnlyTheVeryKeyIsFound(t *testing.T) {
	long := strings.Repeat("k", MaxKeyLength)
	k := must(NewKeys(map[string]string{
		"alice": Hash("key-a"), "bob": hashPrefix + strings.ToUpper(Hash("key-b")[7:]),
		"Łódź ➜ 2": Hash(" key c"), "long": Hash(long), "longer": Hash(long + "k"),
	}))
	for key, want := range map[string]string{
		"key-a": "alice", "key-b": "bob", " key c": "Łódź ➜ 2", long: "long",
		"": "", "key-A": "", "key-a ": "", "key-a\n": "", "key-": "", "alice": "", Hash("key-a"): "", Hash("key-a")[7:]: "",
		long + "k": "",
	} {
		if got, ok := k.Lookup(key); got != want || ok != (want != "") {
			t.Errorf("%.20q: %q, %v", key, got, ok)
		}
	}
	if k.Len() != 5 {
		t.Errorf("%d keys", k.Len())
	}
}

func TestNoKeysFindNothing(t *testing.T) {
	for _, k := range []*Keys{nil, {}, must(NewKeys(nil))} {
		if _, ok := k.Lookup("key"); ok || k.Len() != 0 {
			t.Error("found")
		}
	}
}

func TestMistakesAreNamedAndHashesAreNotShown(t *testing.T) {
	good := Hash("key-a")
	digits := good[len(hashPrefix):]
	long := strings.Repeat("n", MaxNameLength+1)
	for name, tc := range map[string]struct {
		keys map[string]string
		want string
	}{
		"two names with one hash": {map[string]string{"alice": good, "bob": good}, `"alice" and "bob" have the same hash`},
		"one hash in two cases":   {map[string]string{"alice": good, "bob": hashPrefix + strings.ToUpper(digits)}, `"alice" and "bob" have the same hash`},
		"empty name":              {map[string]string{"": good}, `key "": the name is empty`},
		"long name":               {map[string]string{long: good}, `key "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"…: the name is longer than 255 bytes`},
		"line break":              {map[string]string{"a\nb": good}, `key "a\nb": the name has characters that do not print`},
		"NUL":                     {map[string]string{"a\x00": good}, `key "a\x00": the name has characters`},
		"DEL":                     {map[string]string{"a\x7f": good}, `key "a\x7f": the name has characters`},
		"C1 control":              {map[string]string{"a\u0085": good}, `key "a\u0085": the name has characters`},
		"byte order mark":         {map[string]string{"\ufeffa": good}, `key "\ufeffa": the name has characters`},
		"change of direction":     {map[string]string{"a\u202eb": good}, `key "a\u202eb": the name has characters`},
		"not UTF-8":               {map[string]string{"a\xff": good}, `key "a\xff": the name has characters`},
		"name and hash swapped":   {map[string]string{good: "alice"}, `"sha256:`},
		"a hash twice":            {map[string]string{good: Hash("key-b")}, `the name is a hash`},
		"no hash":                 {map[string]string{"alice": ""}, `key "alice": the hash is not sha256: and 64 hexadecimal digits`},
		"no prefix":               {map[string]string{"alice": digits}, `key "alice": the hash is not`},
		"other prefix":            {map[string]string{"alice": "SHA256:" + digits}, `key "alice": the hash is not`},
		"a byte short":            {map[string]string{"alice": good[:len(good)-2]}, `key "alice": the hash is not`},
		"short":                   {map[string]string{"alice": good[:len(good)-1]}, `key "alice": the hash is not`},
		"long":                    {map[string]string{"alice": good + "0"}, `key "alice": the hash is not`},
		"not hexadecimal":         {map[string]string{"alice": good[:len(good)-1] + "g"}, `key "alice": the hash is not`},
		"space":                   {map[string]string{"alice": " " + good}, `key "alice": the hash is not`},
		"the key itself":          {map[string]string{"alice": "key-a"}, `key "alice": the hash is not`},
		"nothing was hashed":      {map[string]string{"alice": Hash("")}, `key "alice": this is the hash of nothing`},
		"the first by name":       {map[string]string{"z": "", "a": "", "m": good}, `key "a": the hash is not`},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := NewKeys(tc.keys)
			if err == nil || k != nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q, want %q", err, tc.want)
			}
			for _, secret := range []string{"key-a", digits, strings.ToUpper(digits), digits[:len(digits)-1]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q shows what was to be hidden", err)
				}
			}
		})
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := must(NewKeys(map[string]string{"alice": Hash("key-a")}))
	hides(t, k, "key-a", Hash("key-a")[7:], "alice")
	if k.String() != "1 API keys" {
		t.Errorf("%v", k)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("k", MaxKeyLength)
	s := must(Open(map[string]string{"alice": Hash("key-a"), "long": Hash(long)}, nil, nil))
	defer s.Close()
	for _, key := range []string{"key-a", long, "unknown", ""} {
		if n := testing.AllocsPerRun(100, func() { s.Lookup(key) }); n != 0 {
			t.Errorf("%v allocations for a key of %d bytes", n, len(key))
		}
	}
}
