package redisstore

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"example.com/caddy-token-auth/revocation"
)

func TestWarningsAboutSettings(t *testing.T) {
	safe := map[string]string{"maxmemory": "1000", "maxmemory_policy": "noeviction", "aof_enabled": "1", "connected_slaves": "1"}
	for _, c := range []struct {
		info, config string // changes: name=value,...; without a value it is not known
		replicas     int
		want         string // in the one warning; "" for none
	}{
		{"", "appendfsync=always,save=", 0, ""},
		{"", "", 1, ""},
		{"", "", 2, "1 replicas, and writes wait for 2"},
		{"maxmemory_policy=allkeys-lru", "", 0, "drops revocations"},
		{"maxmemory_policy=volatile-ttl", "", 0, "want noeviction"},
		{"maxmemory_policy=allkeys-lru,maxmemory=0", "", 0, ""},
		{"maxmemory_policy=", "", 0, "maxmemory-policy is unknown"},
		{"", "appendfsync=everysec", 0, "power failure"},
		{"", "appendfsync=everysec", 1, ""},
		{"aof_enabled=0", "save=", 0, "nothing on disk"},
		{"aof_enabled=0", "save=3600 1", 0, "since the last snapshot"},
		{"aof_enabled=0", "", 0, "since the last snapshot"},
		{"aof_enabled=", "", 0, "persistence is unknown"},
	} {
		info, config := maps.Clone(safe), make(map[string]string)
		set := func(to map[string]string, changes string) {
			for change := range strings.SplitSeq(changes, ",") {
				name, value, _ := strings.Cut(change, "=")
				if to[name] = value; value == "" && name != "save" {
					delete(to, name)
				}
			}
		}
		set(info, c.info)
		set(config, c.config)
		s := &Store{wait: Wait{Replicas: c.replicas}}
		warnings := s.settingsWarnings(info, config)
		if c.want == "" && len(warnings) != 0 || c.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], c.want)) {
			t.Errorf("%+v: %q", c, warnings)
		}
	}
}

func TestOpenWarnsAboutTheServer(t *testing.T) {
	t.Parallel()
	server := newServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	var warnings []string
	open(t, Options{Addresses: []string{server.address}, OnWarning: func(w string) { warnings = append(warnings, w) }})
	all := strings.Join(warnings, "\n")
	for _, want := range []string{"redis " + server.address, "maxmemory-policy allkeys-lru", "nothing on disk"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning of %q in %q", want, all)
		}
	}
	_, o := sharedServer(t)
	o.OnWarning = func(w string) { t.Errorf("warning about a server that is set up well: %s", w) }
	open(t, o)
}

func TestVersions(t *testing.T) {
	for version, older := range map[string]bool{"6.0.16": true, "5.9": true, "6.2": false, "6.2.0": false, "6.10": false, "7.0.15": false, "10": false, "": true} {
		if olderThan(version, minVersion) != older {
			t.Errorf("olderThan(%q) is not %v", version, older)
		}
	}
}

// documentedRule returns the words of the rule in the package comment that has the given
// one in it.
func documentedRule(t testing.TB, word string) []string {
	t.Helper()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for paragraph := range strings.SplitSeq(string(source), "\n//\n") {
		_, rule, ok := strings.Cut(strings.ReplaceAll(paragraph, "//", ""), "ACL SETUSER caddy on >password")
		if ok && strings.Contains(rule, word) {
			return strings.Fields(rule)
		}
	}
	t.Fatalf("the package comment has no rule with %q", word)
	return nil
}

const secret = "s3cr3t-s3cr3t"

func TestDocumentedPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	server := newServer(t, durable...)
	server.call(append([]string{"ACL", "SETUSER", "caddy", "on", ">" + secret}, documentedRule(t, "~token_auth:*")...)...)
	o := Options{Addresses: []string{server.address}, Username: "caddy", Password: secret, DB: 2, Wait: Wait{}}
	o.OnWarning = func(w string) { t.Errorf("warning: %s", w) }
	s := open(t, o)
	w := keepWatching(t, s)
	mustRevoke(t, s, tokens(0, 100)...)
	mustRevoke(t, s, tokens(0, 100)...)
	if err := s.Restore(t.Context(), token(0).Key()); err != nil {
		t.Error(err)
	}
	mustHold(t, s, tokens(1, 100)...)
	seen := 0
	if err := s.Scan(t.Context(), func(revocation.Entry) error { seen++; return nil }); err != nil || seen != 99 {
		t.Errorf("Scan saw %d, %v", seen, err)
	}
	await(t, "report", soon, func() bool { return w.has(token(99)) })

	// What managed services refuse is only warned of.
	server.call("ACL", "SETUSER", "caddy", "-config")
	open(t, Options{Addresses: []string{server.address}, Username: "caddy", Password: secret})
	server.call("ACL", "SETUSER", "caddy", "-info")
	var warnings []string
	open(t, Options{
		Addresses: []string{server.address}, Username: "caddy", Password: secret,
		OnWarning: func(w string) { warnings = append(warnings, w) },
	})
	if len(warnings) != 1 || !strings.Contains(warnings[0], "its settings are unknown") {
		t.Errorf("warnings: %q", warnings)
	}

	// Missing permissions are no reason to try again.
	for command, call := range map[string]func() error{
		"evalsha": func() error { return s.Revoke(t.Context(), token(1)) },
		"mget":    func() error { _, err := s.Lookup(t.Context(), token(1).Key()); return err },
		"scan":    func() error { return s.Scan(t.Context(), func(revocation.Entry) error { return nil }) },
		"xread":   func() error { return s.Watch(t.Context(), "", newWatcher()) },
	} {
		server.call("ACL", "SETUSER", "caddy", "-"+command)
		if err := call(); err == nil || !strings.Contains(err.Error(), "NOPERM") || !strings.Contains(err.Error(), server.address) {
			t.Errorf("without %s: %v", command, err)
		}
	}
}

func TestOpenFailsPlainly(t *testing.T) {
	t.Parallel()
	server := newServer(t, "--requirepass", secret)
	nobody := freeAddress(t)
	cert := newCertificates(t)
	for want, o := range map[string]Options{
		"no address":         {},
		"connection refused": {Addresses: []string{nobody}},
		"NOAUTH":             {Addresses: []string{server.address}},
		"WRONGPASS":          {Addresses: []string{server.address}, Password: secret + "x"},
		"not one of a cluster": {
			Addresses: []string{server.address}, Password: secret, Cluster: true,
		},
		"DB index is out of range": {Addresses: []string{server.address}, Password: secret, DB: 1000},
		"no such file":             {Addresses: []string{server.address}, Password: secret, TLS: &TLS{CAFile: "nowhere"}},
		"has none":                 {Addresses: []string{server.address}, Password: secret, TLS: &TLS{CAFile: "doc.go"}},
		"client certificate":       {Addresses: []string{server.address}, Password: secret, TLS: &TLS{CertFile: "doc.go", KeyFile: "doc.go"}},
		"no answer within":         {Addresses: []string{server.address}, Password: secret, TLS: &TLS{CAFile: cert.ca}},
		"primary nobody":           {Addresses: []string{server.address}, MasterName: "nobody", SentinelPassword: secret},
	} {
		s, err := Open(t.Context(), o)
		if err == nil {
			t.Errorf("%s: Open succeeded", want)
			s.Close()
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("want %q, without the password: %v", want, err)
		}
		if len(o.Addresses) > 0 && !strings.Contains(err.Error(), o.Addresses[0]) {
			t.Errorf("the error does not name the server: %v", err)
		}
	}
}

func TestFirstWordsOfErrors(t *testing.T) {
	for text, want := range map[string]string{
		"OOM command not allowed": "OOM",
		"NOSCRIPT":                "NOSCRIPT",
		"":                        "",
		"ERR Error running script (call to f_6b1b): @user_script:19: @user_script: 19: -READONLY You can't write": "READONLY",
		"ERR Error running script (call to f_6b1b): @user_script:19: attempt to index a nil value":                "ERR",
		"ERR unknown: -READONLY": "ERR",
	} {
		if got := firstWord(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// Whatever the way of a password into an error, it does not leave the package.
func TestErrorsAreRidOfPasswords(t *testing.T) {
	s := &Store{where: "redis h:1", secrets: []string{secret}}
	err := s.failed("connect", errors.New("unknown command 'HELLO', with args beginning with: 'AUTH' '"+secret+"'"))
	if strings.Contains(err.Error(), secret) || !strings.HasPrefix(err.Error(), "redis h:1: connect: unknown command") {
		t.Errorf("%v", err)
	}
	if s.failed("x", nil) != nil {
		t.Error("an error without a cause")
	}
}
