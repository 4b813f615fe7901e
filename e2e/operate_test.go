package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Exit codes of the commands that ask an instance, as docs/cli.md has them.
const (
	exitUsage      = 1
	exitNoInstance = 4
	exitRefused    = 5
	exitNotAllowed = 7
)

// ran is what a command has done.
type ran struct {
	code        int
	out, errors string
}

// operate runs a command of caddy token-auth, as an operator would.
func (s *sidecar) operate(stdin, name string, args ...string) ran {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary(s.t), append([]string{"token-auth", name}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.home, "XDG_DATA_HOME="+s.home, "XDG_CONFIG_HOME="+s.home, "JWT_SECRET="+jwtSecret)
	cmd.Stdin = strings.NewReader(stdin)
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), failed.String()}
}

func (r ran) want(t *testing.T, what string, code int, says ...string) {
	t.Helper()
	for _, text := range says {
		if !strings.Contains(r.out+r.errors, text) {
			t.Errorf("%s: nothing says %q", what, text)
			code = -1
		}
	}
	if r.code != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", what, r.code, code, r.out, r.errors)
	}
}

// TestOperatorRevokesByCommand does what docs/cli.md says, at an admin endpoint on a port
// and on a Unix socket.
func TestOperatorRevokesByCommand(t *testing.T) {
	for what, onSocket := range map[string]bool{"port": false, "socket": true} {
		t.Run(what, func(t *testing.T) {
			s := newSidecar(t, newAPI(t))
			if onSocket {
				s.admin = "unix/" + filepath.Join(s.home, "admin.sock")
			}
			s.start()
			config := filepath.Join(s.home, "Caddyfile")
			c := s.client()
			defer c.close()

			minted := s.operate("", "mint", "--config", config, "--client", "7", "--session", "s1", "--id", "t1", "--claim", "type=access")
			minted.want(t, "mint", 0)
			raw := strings.TrimSuffix(minted.out, "\n")
			if a := c.must(t, http.MethodGet, protectedPath, raw, ""); a.status != http.StatusOK {
				t.Fatalf("with a minted token: %s", a)
			}
			s.operate(raw, "explain", "--address", s.admin, "--token-file", "-").want(t, "explain", 0, "allowed", `client "7"`, "live")
			s.operate("Authorization: Bearer "+raw+"\r\n", "explain", "--config", config, "--header-file", "-").
				want(t, "explain with header fields", 0, "allowed")

			file := filepath.Join(s.home, "token")
			if err := os.WriteFile(file, []byte(raw+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s.operate("", "revoke", "--config", config, "--token-file", file).want(t, "revoke", 0, `token "t1"`)
			if a := c.must(t, http.MethodGet, protectedPath, raw, ""); !a.is(http.StatusUnauthorized, bodyInvalid) {
				t.Errorf("after it was revoked: %s", a)
			}
			s.operate("", "explain", "--config", config, "--token-file", file).want(t, "explain after it", exitNotAllowed, "revoked_token", `token "t1"`)

			p := mint(s.api.newClient())
			s.operate("", "revoke", "--config", config, "--scope", "client", "--id", fmt.Sprint(p.client), "--json").
				want(t, "revoke a client", 0, fmt.Sprintf(`"id":"%d"`, p.client))
			c.wantRevoked(t, p)

			listed := s.operate("", "list", "--config", config)
			listed.want(t, "list", 0, `"t1"`, fmt.Sprintf(`"%d"`, p.client))
			paged := s.operate("", "list", "--config", config, "--json", "--limit", "1")
			paged.want(t, "the first page", 0)
			lines := strings.Split(strings.TrimSpace(paged.out), "\n")
			var last struct {
				Entries int
				Next    string
			}
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Entries != 1 || last.Next == "" {
				t.Fatalf("last line %q (%v)", lines[len(lines)-1], err)
			}
			s.operate("", "list", "--config", config, "--json", "--after", last.Next).want(t, "the second page", 0, `{"entries":1}`)
			s.operate("", "list", "--config", config, "--all", "--client", fmt.Sprint(p.client)).want(t, "list of a client", 0, "client ")

			s.kill()
			c.close()
			s.start()
			if a := c.must(t, http.MethodGet, protectedPath, raw, ""); !a.is(http.StatusUnauthorized, bodyInvalid) {
				t.Errorf("after it was killed: %s", a)
			}
			s.stop()
		})
	}
}

func TestCommandsSayWhatIsWrong(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	raw := mint(7).access
	config := filepath.Join(s.home, "Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.operate(raw, "revoke", "--config", config, "--token-file", "-").want(t, "no instance", exitNoInstance, "no instance answers")
	off := filepath.Join(s.home, "Caddyfile.off")
	if err := os.WriteFile(off, []byte(strings.Replace(s.caddyfile(), "admin "+s.admin, "admin off", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.operate(raw, "revoke", "--config", off, "--adapter", "caddyfile", "--token-file", "-").want(t, "admin off", exitUsage, "turns the admin endpoint off")

	s.start()
	at := []string{"--address", s.admin}
	forged := raw[:strings.LastIndexByte(raw, '.')+1] + strings.Repeat("Zm9yZ2Vk", 5) + "Zm8"
	for what, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		says  string
	}{
		"a forged token":          {forged, []string{"revoke", "--token-file", "-"}, exitRefused, "signature is invalid"},
		"an expired token":        {sign(7, "access", time.Now().Add(-2*time.Hour), time.Hour), []string{"revoke", "--token-file", "-"}, 0, "nothing to revoke"},
		"a realm that is unknown": {"", []string{"revoke", "--scope", "client", "--id", "7", "--realm", "x"}, exitRefused, "no site has this realm"},
		"a scope that is none":    {"", []string{"revoke", "--scope", "user", "--id", "7"}, exitRefused, "scope"},
		"nothing to revoke":       {"", []string{"revoke"}, exitUsage, "--token-file"},
		"no input":                {"", []string{"revoke", "--token-file", "-"}, exitUsage, "empty"},
		"too much input":          {strings.Repeat("x", 70_000), []string{"explain", "--token-file", "-"}, exitUsage, "larger than"},
		"a file that is missing":  {"", []string{"explain", "--token-file", "/nowhere"}, exitUsage, "nowhere"},
		"a token as an argument":  {"", []string{"explain", "--token-file", "-", raw}, exitUsage, "standard input"},
		"a limit of zero":         {"", []string{"list", "--limit", "0"}, exitUsage, "--limit"},
		"a limit that is huge":    {"", []string{"list", "--limit", "1000000"}, exitRefused, "limit"},
		"a key that is missing":   {"", []string{"mint", "--client", "7"}, exitUsage, "secret-file"},
	} {
		args := c.args
		if args[0] != "mint" {
			args = append(args, at...)
		}
		got := s.operate(c.stdin, args[0], args[1:]...)
		got.want(t, what, c.code, c.says)
		if strings.Contains(got.out+got.errors, raw[:60]) {
			t.Errorf("%s: the token comes back:\n%s%s", what, got.out, got.errors)
		}
	}
	s.stop()
}

// TestOperationsLeaveNoTokenInALog looks for tokens in all that an instance prints at its
// most talkative while it is operated, in its audit log and in its list.
func TestOperationsLeaveNoTokenInALog(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	s.logLevel = "DEBUG"
	audit := filepath.Join(s.home, "audit.log")
	s.global = fmt.Sprintf("log audit {\n output file %s\n include token_auth.audit\n }", audit)
	s.start()
	at := []string{"--address", s.admin}
	p := mint(s.api.newClient())
	expired := sign(7, "access", time.Now().Add(-2*time.Hour), time.Hour)
	forged := p.refresh[:strings.LastIndexByte(p.refresh, '.')+1] + strings.Repeat("Zm9yZ2Vk", 5) + "Zm8"
	tokens := []string{p.access, p.refresh, expired, forged}
	printed := ""
	for _, raw := range tokens {
		for _, args := range [][]string{{"explain"}, {"revoke"}, {"revoke", "--scope", "client"}, {"revoke", "--scope", "session"}, {"explain", "--json"}} {
			got := s.operate(raw, args[0], append(append(args[1:], "--token-file", "-"), at...)...)
			printed += got.out + got.errors
		}
		got := s.operate("Cookie: a="+raw+"\nAuthorization: Bearer "+raw, "explain", append([]string{"--header-file", "-"}, at...)...)
		printed += got.out + got.errors
	}
	for _, body := range []string{`{"token":"` + p.access + `"`, `{"` + p.access + `":""}`, p.access} {
		for _, path := range []string{"revoke", "explain", "list"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.admin+"/token_auth/"+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Close = true
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
	}
	printed += s.operate("", "list", append([]string{"--all", "--json"}, at...)...).out
	c := s.client()
	c.wantRevoked(t, p)
	c.close()
	s.stop()

	lines, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(lines), `"msg":"revoked"`); n < 3 {
		t.Errorf("%d revocations in the audit log:\n%s", n, lines)
	}
	for what, text := range map[string]string{"log": s.process.log.String(), "audit log": string(lines), "commands": printed} {
		for i, raw := range tokens {
			for _, part := range strings.Split(raw, ".")[1:] {
				if strings.Contains(text, part) {
					t.Errorf("a part of token %d is in the %s", i, what)
				}
			}
		}
	}
	if !strings.Contains(s.process.log.String(), "/token_auth/revoke") {
		t.Error("the log does not have the admin endpoint's requests")
	}
}
