package caddymodule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEveryRevocationHasOneAuditLine makes one in each way.
func TestEveryRevocationHasOneAuditLine(t *testing.T) {
	s := prepare(t, newAPI(t, time.Now), "api octopus_cards\nsecret "+testSecret+"\nrealm api\nreset /v1/reset/")
	audit := filepath.Join(t.TempDir(), "audit.log")
	admin := freeAddr(t)
	// What follows the address ends its line.
	s.admin = admin + "\nlog audit {\noutput file " + audit + "\ninclude token_auth.audit\n}"
	s.mustLoad()
	o := &operated{t: t, addr: s.addr, admin: admin, audit: audit, client: s.client}

	p, other := s.login(42), s.login(43)
	if a := s.refresh(other.Refresh); a.status != 200 {
		t.Fatalf("refresh: %d %s", a.status, a.body)
	}
	s.do("GET", "/v1/cards", "", bearer(p.Access))
	s.do("POST", "/auth/logout", "", bearer(p.Access), "X-Forwarded-For: 203.0.113.7").want(t, "logout", 200, bodyLoggedOut)
	s.do("POST", "/auth/logout", "", bearer(p.Access)).want(t, "a logout that is refused", 401, bodyInvalid)
	o.asked("revoke", map[string]any{"token": other.Access, "scope": "client"}, new(revoked))
	o.asked("revoke", map[string]any{"scope": "session", "id": "s9"}, new(revoked))

	lines := o.auditLines()
	want := []map[string]any{
		{"cause": "logout", "scope": "client", "id": "42", "client": "42", "remote_ip": "203.0.113.7"},
		{"cause": "admin", "scope": "client", "id": "43", "client": "43", "remote_ip": "127.0.0.1"},
		{"cause": "admin", "scope": "session", "id": "s9", "client": nil, "remote_ip": "127.0.0.1"},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d audit lines, want %d: %v", len(lines), len(want), lines)
	}
	for i, line := range lines {
		for name, value := range want[i] {
			if line[name] != value {
				t.Errorf("line %d: %s is %v, want %v", i+1, name, line[name], value)
			}
		}
		if line["msg"] != "revoked" || line["logger"] != "token_auth.audit" || line["realm"] != "api" {
			t.Errorf("line %d: %v", i+1, line)
		}
		at, _ := line["at"].(float64)
		until, _ := line["kept_until"].(float64)
		if time.Since(time.Unix(int64(at), 0)) > time.Minute || until < at+6*24*3600 {
			t.Errorf("line %d: at %v, kept until %v", i+1, line["at"], line["kept_until"])
		}
	}
	text, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{p.Access, p.Refresh, other.Access, other.Refresh} {
		if parts := strings.Split(raw, "."); strings.Contains(string(text), parts[1]) || strings.Contains(string(text), parts[2]) {
			t.Error("the audit log has a part of a token")
		}
	}
}

func TestAuditLineOfAResetNamesWhoAskedForIt(t *testing.T) {
	s := prepare(t, new(echo), "secret "+testSecret+"\nreset /users/reset/")
	audit := filepath.Join(t.TempDir(), "audit.log")
	s.admin = freeAddr(t) + "\nlog audit {\noutput file " + audit + "\ninclude token_auth.audit\n}"
	s.mustLoad()
	o := &operated{t: t, audit: audit}
	if a := s.do("POST", "/users/reset/7", "", bearer(sign(t, claimsAt(time.Now())))); a.status != 200 {
		t.Fatalf("reset: %d %s", a.status, a.body)
	}
	lines := o.auditLines()
	if len(lines) != 1 || lines[0]["cause"] != "reset" || lines[0]["id"] != "7" || lines[0]["by_client"] != "42" || lines[0]["by_token"] != "test-token" {
		t.Error(fmt.Sprint(lines))
	}
}
