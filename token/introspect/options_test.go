package introspect

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func unescape(s string) string {
	s, err := url.QueryUnescape(s)
	if err != nil {
		panic(err)
	}
	return s
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"unknown method":         {Method: "private_key_jwt", ClientID: id, ClientSecret: secret},
		"method without a name":  {Method: ClientSecretPost},
		"secret without a name":  {ClientSecret: secret},
		"name without a secret":  {ClientID: id},
		"two ways":               {ClientID: id, ClientSecret: secret, BearerToken: secret},
		"bearer and a secret":    {ClientSecret: secret, BearerToken: secret},
		"bearer and a method":    {Method: ClientSecretBasic, BearerToken: secret},
		"bearer, line break":     {BearerToken: secret + "\r\nX-Header: y"},
		"bearer, space":          {BearerToken: secret + " " + secret},
		"bearer, not ASCII":      {BearerToken: secret + "é"},
		"negative timeout":       {Timeout: -1},
		"negative TTL":           {CacheTTL: -1},
		"long TTL":               {CacheTTL: time.Minute + 1},
		"negative reject TTL":    {RejectTTL: -1},
		"long reject TTL":        {RejectTTL: time.Minute + 1},
		"negative concurrency":   {MaxConcurrent: -1},
		"negative backoff":       {FailureBackoff: -1},
		"long backoff":           {FailureBackoff: time.Minute + 1},
		"empty issuer":           {Issuers: []string{"a", ""}},
		"empty audience":         {Audiences: []string{""}},
		"negative leeway":        {Leeway: -1},
		"long leeway":            {Leeway: 10*time.Minute + 1},
		"negative leeway of iat": {IssuedAtLeeway: -1},
		"long leeway of iat":     {IssuedAtLeeway: 10*time.Minute + 1},
		"negative age":           {MaxAge: -1},
	} {
		c, err := New(address, o)
		if err == nil || c != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		showsNothing(t, name, err.Error())
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	for _, o := range []Options{
		{ClientID: id, ClientSecret: secret},
		{ClientID: id, ClientSecret: secret, Method: ClientSecretPost},
		{BearerToken: secret},
	} {
		c := openAt(t, address+"?key=abc", o)
		showsNothing(t, "options", fmt.Sprintf("%v %+v %#v %s", o, &o, o, &o))
		showsNothing(t, "client", fmt.Sprintf("%v %+v %#v %s", c, c, c, c))
		if c.String() != address {
			t.Error(c.String())
		}
	}
}

func TestURLs(t *testing.T) {
	for raw, want := range map[string][2]bool{ // accepted, accepted with AllowHTTP
		"https://as.example/introspect":      {true, true},
		"https://as.example:8443/i?x=1":      {true, true},
		"HTTPS://as.example/":                {true, true},
		"http://as.example/introspect":       {false, true},
		"http://localhost:8080/introspect":   {true, true},
		"http://127.8.9.10/introspect":       {true, true},
		"http://[::1]:80/introspect":         {true, true},
		"http://[::ffff:127.0.0.1]/":         {true, true},
		"http://localhost.example/":          {false, true},
		"http://127.0.0.1.example/":          {false, true},
		"http://2130706433/":                 {false, true},
		"http://0.0.0.0/":                    {false, true},
		"ftp://as.example/":                  {false, false},
		"file:///etc/passwd":                 {false, false},
		"//as.example/":                      {false, false},
		"as.example/introspect":              {false, false},
		"https:///introspect":                {false, false},
		"https://:443/introspect":            {false, false},
		"https://user:" + secret + "@a.test": {false, false},
		"https://" + secret + "@a.test":      {false, false},
		"https://a.test/#" + secret:          {false, false},
		"https://a.test/%zz" + secret:        {false, false},
		"https://a.test/\r\n" + secret:       {false, false},
		"":                                   {false, false},
	} {
		for i, allow := range []bool{false, true} {
			c, err := New(raw, Options{AllowHTTP: allow})
			if (err == nil) != want[i] || (c != nil) != want[i] {
				t.Errorf("%q, allowing http %v: %v", raw, allow, err)
			}
			switch {
			case err == nil:
				_ = c.Close()
			case strings.Contains(err.Error(), secret):
				t.Errorf("the error quotes the URL: %v", err)
			}
		}
	}
}
