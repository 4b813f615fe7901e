package serverurl

import (
	"net/url"
	"strings"
	"testing"
)

func TestOnlyURLsThatAreSafeToAskAreTaken(t *testing.T) {
	for raw, want := range map[string][2]bool{ // accepted, accepted with AllowHTTP
		"https://a.example/keys":           {true, true},
		"https://a.example:8443/keys?x=1":  {true, true},
		"https://10.0.0.1/":                {true, true},
		"http://a.example/keys":            {false, true},
		"http://localhost:8080/keys":       {true, true},
		"http://127.0.0.1/keys":            {true, true},
		"http://127.8.9.10/keys":           {true, true},
		"http://[::1]:80/keys":             {true, true},
		"http://[::ffff:127.0.0.1]/keys":   {true, true},
		"http://localhost.example/keys":    {false, true},
		"http://127.0.0.1.example/keys":    {false, true},
		"http://2130706433/keys":           {false, true},
		"http://0.0.0.0/keys":              {false, true},
		"ftp://a.example/keys":             {false, false},
		"file:///etc/keys":                 {false, false},
		"//a.example/keys":                 {false, false},
		"a.example/keys":                   {false, false},
		"https:///keys":                    {false, false},
		"https://:443/keys":                {false, false},
		"https://user:secret@a.example/":   {false, false},
		"https://secret@a.example/":        {false, false},
		"https://a.example/keys#secret":    {false, false},
		"https://a.example/%zzsecret":      {false, false},
		"":                                 {false, false},
		"HTTPS://a.example/keys":           {true, true},
		"javascript:alert('secret')":       {false, false},
		"https://a.example/keys\r\nsecret": {false, false},
	} {
		for i, allow := range []bool{false, true} {
			_, err := Parse(raw, allow, "replace the keys")
			if (err == nil) != want[i] || err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%q, allowing http %v: %v", raw, allow, err)
			}
		}
	}
	u, err := url.Parse("https://u:p@a.example/k%2Fx?key=secret#f")
	if err != nil {
		t.Fatal(err)
	}
	if got := Name(u); got != "https://a.example/k%2Fx" {
		t.Error(got)
	}
}
