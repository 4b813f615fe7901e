package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const otherSecret = "another-secret-0123456789abcdefghijklmnop"

// operated is an instance with an admin endpoint and several sites, in this process.
type operated struct {
	t     *testing.T
	addr  string
	admin string
	audit string // the file of the audit log
	store string
	// sites are the lines of the directive of each host, which may have a port of its own.
	sites  [][2]string
	client *http.Client
}

// operate runs an instance; sites are pairs of a host name and lines of its directive.
func operate(t *testing.T, sites ...[2]string) *operated {
	t.Helper()
	o := prepareOperated(t, sites...)
	o.mustLoad()
	return o
}

func prepareOperated(t *testing.T, sites ...[2]string) *operated {
	t.Helper()
	dir := t.TempDir()
	transport := new(http.Transport)
	o := &operated{
		t: t, addr: freeAddr(t), admin: freeAddr(t), audit: filepath.Join(dir, "audit.log"),
		store: "store local " + filepath.Join(dir, "store"), sites: sites,
		client: &http.Client{Transport: transport, Timeout: 20 * time.Second},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *operated) mustLoad() {
	o.t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, `{
		admin %s
		persist_config off
		auto_https off
		grace_period 5s
		log {
			level ERROR
		}
		log audit {
			output file %s
			include token_auth.audit
		}
		token_auth {
			%s
		}
	}
	`, o.admin, o.audit, o.store)
	for _, site := range o.sites {
		addr := site[0]
		if !strings.Contains(addr, ":") {
			addr += o.addr[strings.LastIndex(o.addr, ":"):]
		}
		fmt.Fprintf(&text, `http://%s {
			token_auth {
				%s
			}
			respond "for {http.auth.user.id}"
		}
		`, addr, site[1])
	}
	config, err := adapt(text.String())
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	o.client.CloseIdleConnections()
}

// get asks a site for something with a token.
func (o *operated) get(host, raw string) int {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.addr+"/v1/cards", http.NoBody)
	if err != nil {
		o.t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Authorization", "Bearer "+raw)
	return o.send(r).status
}

// post sends a body to the admin API.
func (o *operated) post(what string, body any) answer {
	o.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.raw(http.MethodPost, what, "application/json", string(text))
}

func (o *operated) raw(method, what, mediaType, body string) answer {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, "http://"+o.admin+"/token_auth/"+what, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return o.send(r)
}

func (o *operated) send(r *http.Request) answer {
	o.t.Helper()
	resp, err := o.client.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// asked is post for an answer that must be 200.
func (o *operated) asked(what string, body, to any) {
	o.t.Helper()
	a := o.post(what, body)
	if a.status != http.StatusOK {
		o.t.Fatalf("%s: %d %s", what, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), to); err != nil {
		o.t.Fatalf("%s: %v in %s", what, err, a.body)
	}
}

// entryLine is an entry as the admin API tells it.
type entryLine struct {
	Scope, Kind, Realm, ID, Session, Client string

	At        time.Time
	KeptUntil time.Time `json:"kept_until"`
}

func (e entryLine) String() string { return e.Scope + " " + e.Realm + "/" + e.ID }

type revoked struct {
	Revoked    []entryLine
	Expired    bool
	Unverified []struct {
		Site   int
		Hosts  []string
		Check  string
		Detail string
	}
}

type explained struct {
	Sites []struct {
		Site                        int
		Server                      string
		Hosts, Listen               []string
		Allowed, Verified, Unproven bool
		Reason, Check, Detail       string
		Credential, Verdict, From   string
		Stored                      string
		Identity                    *struct{ Realm, Token, Session, Client string }
		Entry, Survives             *entryLine
	}
}

// list reads a list of the admin API and wants its last line.
func (o *operated) list(body any) (entries []entryLine, next string) {
	o.t.Helper()
	a := o.post("list", body)
	if a.status != http.StatusOK {
		o.t.Fatalf("list: %d %s", a.status, a.body)
	}
	lines := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		var e entryLine
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			o.t.Fatal(err)
		}
		entries = append(entries, e)
	}
	var last struct {
		Entries *int
		Next    string
		Error   string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Entries == nil || *last.Entries != len(entries) || last.Error != "" {
		o.t.Fatalf("last line %s after %d entries (%v)", lines[len(lines)-1], len(entries), err)
	}
	return entries, last.Next
}

// auditLines returns what the audit log has.
func (o *operated) auditLines() []map[string]any {
	o.t.Helper()
	text, err := os.ReadFile(o.audit)
	if err != nil {
		o.t.Fatal(err)
	}
	var lines []map[string]any
	for line := range strings.Lines(string(text)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			o.t.Fatal(err)
		}
		lines = append(lines, fields)
	}
	return lines
}
