package redisstore

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for text, want := range map[string]Options{
		"redis://localhost":                      {Addresses: []string{"localhost"}},
		"redis://localhost/":                     {Addresses: []string{"localhost"}},
		"valkey://10.0.0.1:6380/3":               {Addresses: []string{"10.0.0.1:6380"}, DB: 3},
		"REDISS://:pw@[::1]:1/0":                 {Addresses: []string{"[::1]:1"}, Password: "pw", TLS: new(TLS)},
		"valkeys://u:p%40%2F%3F@h":               {Addresses: []string{"h"}, Username: "u", Password: "p@/?", TLS: new(TLS)},
		"redis://u:p@@h":                         {Addresses: []string{"h"}, Username: "u", Password: "p@"},
		"redis://a:1,b,[::1]?cluster=true":       {Addresses: []string{"a:1", "b", "[::1]"}, Cluster: true},
		"redis://u:p@a,b:26380/2?master=primary": {Addresses: []string{"a", "b:26380"}, Username: "u", Password: "p", DB: 2, MasterName: "primary"},
	} {
		got, err := ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s gave another %+v", text, got)
		}
	}
}

func TestWrongURLsAreErrorsWithoutThePassword(t *testing.T) {
	const secret = "s3cr3t"
	for _, text := range []string{
		"", secret, "redis:" + secret, secret + "://h", "http://" + secret + "@h", "redis://", "redis://,", "redis://h,", "redis://h/x", "redis://h/1/2",
		"redis://u:" + secret + "@", "redis://u:" + secret + "@h:1:2", "redis://u:" + secret + "%zz@h", "redis://u:" + secret + "/@h", "redis://u:" + secret + "?@h",
		"redis://" + secret + " x@y z", "redis://h?db=1", "redis://h?master=", "redis://h?cluster=maybe", "redis://h?cluster=true&cluster=true", "redis://h?%zz",
		"redis://u:" + secret + "@h/" + secret, "redis://h\x00", "redis://" + strings.Repeat("h", maxURL),
	} {
		o, err := ParseURL(text)
		if err == nil {
			_, err = o.withDefaults()
		}
		if err == nil {
			t.Errorf("%q is taken", text)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
	}
}

func TestOptionsNeverShowPasswords(t *testing.T) {
	o := Options{Addresses: []string{"h"}, Password: "s3cr3t", SentinelPassword: "s3cr3t"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{o, &o, []Options{o}} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "s3cr3t") || strings.Contains(text, fmt.Sprintf("%x", "s3cr3t")) {
				t.Errorf("%s of %T: %s", verb, value, text)
			}
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := []Options{
		{Addresses: []string{"h"}},
		{Addresses: []string{"::1", "[::1]", "[::1]:5", "1.2.3.4", "h:1"}, Cluster: true},
		{Addresses: []string{"a", "b"}, MasterName: "m", DB: 3},
	}
	for _, o := range good {
		if _, err := o.withDefaults(); err != nil {
			t.Errorf("%v: %v", o.Addresses, err)
		}
	}
	for what, o := range map[string]Options{
		"no address":         {},
		"two servers":        {Addresses: []string{"a", "b"}},
		"sentinel cluster":   {Addresses: []string{"a"}, MasterName: "m", Cluster: true},
		"no host":            {Addresses: []string{":6379"}},
		"not an address":     {Addresses: []string{"a:b:c"}},
		"a URL":              {Addresses: []string{"redis://a"}},
		"no password":        {Addresses: []string{"a"}, Username: "u"},
		"negative DB":        {Addresses: []string{"a"}, DB: -1},
		"DB of a cluster":    {Addresses: []string{"a"}, Cluster: true, DB: 1},
		"prefix with braces": {Addresses: []string{"a"}, KeyPrefix: "{x}"},
		"long prefix":        {Addresses: []string{"a"}, KeyPrefix: strings.Repeat("x", maxPrefix+1)},
		"negative timeout":   {Addresses: []string{"a"}, Timeout: -1},
		"short wait":         {Addresses: []string{"a"}, Wait: Wait{Replicas: 1, Timeout: 1}},
		"negative replicas":  {Addresses: []string{"a"}, Wait: Wait{Replicas: -1}},
		"short feed":         {Addresses: []string{"a"}, FeedLength: 1},
		"half a certificate": {Addresses: []string{"a"}, TLS: &TLS{CertFile: "c"}},
	} {
		if _, err := o.withDefaults(); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	sentinel, err := good[2].withDefaults()
	if err != nil || sentinel.Addresses[0] != "a:26379" || good[2].Addresses[0] != "a" {
		t.Errorf("addresses became %v, %v", sentinel.Addresses, err)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, text := range []string{"redis://u:p@h:1,[::1]/2?master=m", "rediss://:p%20@h?cluster=1", "redis://", "redis://@,@/?&"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseURL(text)
		if err != nil {
			return
		}
		if len(o.Addresses) == 0 {
			t.Fatal("no address")
		}
		if o, err = o.withDefaults(); err == nil && len(o.Password) > 8 && strings.Contains(o.String(), o.Password) {
			t.Fatalf("the password is shown: %s", o)
		}
	})
}
