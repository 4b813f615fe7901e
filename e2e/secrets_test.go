package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation/localstore"
)

// TestNoSecretIsLoggedOrStored looks for tokens, keys and passwords in all that a
// process prints at its most talkative, and in the file of the list.
func TestNoSecretIsLoggedOrStored(t *testing.T) {
	const weak = "weak-key-of-refused-file"
	s := newSidecar(t, newAPI(t))
	s.logLevel = "DEBUG"
	s.site = "log"
	s.handler = "forward_identity X-Client-ID sub"
	s.start()

	secrets := map[string]string{
		"the key":                jwtSecret,
		"the key in base64":      base64.StdEncoding.EncodeToString([]byte(jwtSecret)),
		"the key in hexadecimal": hex.EncodeToString([]byte(jwtSecret)),
		"the key of a configuration that is weak": weak,
	}
	// Of a token, neither the payload nor the signature may be there. The header is
	// the same for all.
	addToken := func(what, token string) {
		parts := strings.Split(token, ".")
		for i, part := range []string{"payload", "signature"} {
			secrets[part+" of "+what] = parts[i+1]
		}
	}
	c := s.client()
	defer c.close()
	const client = 7
	secrets["the password"] = apiPassword(client)
	p, err := c.login(client)
	if err != nil {
		t.Fatal(err)
	}
	addToken("the access token", p.access)
	addToken("the refresh token", p.refresh)
	renewed, err := issued(c.must(t, http.MethodPost, refreshPath, "", refreshBody(p.refresh)))
	if err != nil {
		t.Fatal(err)
	}
	addToken("the second access token", renewed.access)
	addToken("the second refresh token", renewed.refresh)
	c.wantLive(t, p)

	expired := sign(client, "access", time.Now().Add(-3*time.Hour), time.Hour)
	aged := sign(client, "access", time.Now().Add(-30*24*time.Hour), 60*24*time.Hour)
	addToken("an expired token", expired)
	addToken("an aged token", aged)
	forged := p.access[:strings.LastIndexByte(p.access, '.')+1] + strings.Repeat("Zm9yZ2Vk", 5) + "Zm8"
	addToken("a forged token", forged)
	const nonsense = "nonsense-that-somebody-took-for-a-token"
	secrets["what is no token"] = nonsense
	for _, header := range []string{
		"Authorization: Bearer " + expired + "\r\n",
		"Authorization: Bearer " + aged + "\r\n",
		"Authorization: Bearer " + forged + "\r\n",
		"Authorization: Bearer " + nonsense + "\r\n",
		"Authorization: " + nonsense + "\r\n",
		"Authorization: Bearer " + p.access + "\r\nAuthorization: Bearer " + renewed.access + "\r\n",
		"Authorization: Bearer " + p.access + "\r\nUpgrade: tls/1.0\r\nConnection: Upgrade\r\n",
	} {
		for _, call := range [][2]string{{http.MethodGet, protectedPath}, {http.MethodPost, logoutPath}} {
			if a, err := c.exchange(call[0], call[1], header, ""); err != nil || a.status < 400 {
				t.Errorf("%s %s with %q: %s, %v", call[0], call[1], header, a, err)
			}
		}
	}
	for _, body := range []string{refreshBody(p.refresh), refreshBody(forged), refreshBody(nonsense), `{"refresh_token":"` + nonsense} {
		if a := c.must(t, http.MethodPost, refreshPath, "", body); a.status < 400 {
			t.Errorf("refresh with %s: %s", body, a)
		}
	}
	good := s.caddyfile()
	for _, text := range []string{
		strings.Replace(good, "{env.JWT_SECRET}", weak, 1),
		strings.Replace(good, "{env.JWT_SECRET}", "base64:"+weak+"!", 1),
		strings.Replace(good, "{env.JWT_SECRET}", "", 1),
	} {
		status, body, err := s.load(text)
		if err != nil || status < 400 {
			t.Errorf("%d %s, %v", status, body, err)
		}
		if strings.Contains(body, weak) {
			t.Errorf("the answer to a refused configuration has its key: %s", body)
		}
	}
	// Without the placeholder that keeps it out of the configuration.
	if status, body, err := s.load(strings.Replace(good, "{env.JWT_SECRET}", jwtSecret, 1)); err != nil || status != http.StatusOK {
		t.Errorf("%d %s, %v", status, body, err)
	}
	if a, err := c.repeat(http.MethodPost, logoutPath, p.access, ""); err != nil || !a.is(http.StatusOK, bodyLoggedOut) {
		t.Errorf("logout: %s, %v", a, err)
	}
	c.wantRevoked(t, p)
	c.wantRevoked(t, renewed)
	s.stop()

	file, err := os.ReadFile(filepath.Join(s.store, localstore.FileName))
	if err != nil {
		t.Fatal(err)
	}
	printed := s.process.log.String()
	// Each of those who could say too much has spoken.
	for _, want := range []string{"request refused", "revoked", "upstream roundtrip", "handled request", "request error"} {
		if !strings.Contains(printed, want) {
			t.Errorf("the log does not have %q", want)
		}
	}
	for what, secret := range secrets {
		if at := strings.Index(printed, secret); at >= 0 {
			t.Errorf("the log has %s: …%s…", what, printed[max(0, at-300):min(len(printed), at+300)])
		}
		if strings.Contains(string(file), secret) {
			t.Errorf("the store has %s", what)
		}
	}
}
