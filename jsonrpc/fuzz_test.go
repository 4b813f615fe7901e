package jsonrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

// asOthers is a message as a parser reads it that does not mind the case of names and
// takes the last of several members with one name.
type asOthers struct {
	Method *string
	ID     json.RawMessage
	Params json.RawMessage
	Result json.RawMessage
}

func (m *asOthers) accessToken() string {
	var params struct {
		AccessToken json.RawMessage `json:"access_token"`
	}
	if json.Unmarshal(m.Params, &params) != nil {
		return ""
	}
	return string(params.AccessToken)
}

// readAsOthers reads one message or a batch.
func readAsOthers(text []byte) ([]asOthers, error) {
	var all []asOthers
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		err := json.Unmarshal(text, &all)
		return all, err
	}
	var one asOthers
	err := json.Unmarshal(text, &one)
	return []asOthers{one}, err
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":42,"method":"private/logout","params":{"access_token":"a","invalidate_token":true}}`))
	f.Add([]byte(`[{"id":"x","method":"public/test"},{"id":1.0,"result":{"access_token":"b"}},{"id":null,"error":{"code":1}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		original := bytes.Clone(text)
		p, err := Parse(text)
		if !bytes.Equal(text, original) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || p.Messages != nil || errors.Is(err, ErrParse) == errors.Is(err, ErrInvalidRequest) {
				t.Fatalf("%T %v", err, err)
			}
			if e.ID != nil && (!json.Valid(e.ID) || !bytes.Contains(text, e.ID)) {
				t.Fatalf("id %q", e.ID)
			}
			return
		}
		others, err := readAsOthers(text)
		if err != nil || len(others) != len(p.Messages) {
			t.Fatalf("another parser reads %d messages, %v", len(others), err)
		}
		for i := range p.Messages {
			m, other := &p.Messages[i], &others[i]
			switch {
			case (m.Kind == Response) != (other.Method == nil):
				t.Fatalf("%v", m)
			case other.Method != nil && *other.Method != m.Method:
				t.Fatalf("method %q, and for another parser %q", m.Method, *other.Method)
			case string(other.ID) != string(m.ID):
				t.Fatalf("id %q, and for another parser %q", m.ID, other.ID)
			}
			ours, _ := m.Param("access_token")
			if theirs := other.accessToken(); theirs != string(ours) {
				t.Fatalf("token %q, and for another parser %q", ours, theirs)
			}
			if again, err := Parse(m.raw); err != nil || again.Batch || again.Messages[0].Method != m.Method {
				t.Fatalf("%q alone: %v", m.raw, err)
			}
			if m.identified() {
				keyOf(m.ID)
			}
		}
	})
}

// nobody authorizes nothing, but learns whatever it is told.
type nobody struct{}

func (nobody) Check(context.Context, Credential) Verdict {
	return Verdict{Reason: dialect.RevokedCredential}
}
func (nobody) Learned(context.Context, Grant) (string, error) { return "session", nil }
func (nobody) Asking(context.Context)                         {}
func (nobody) Revoke(context.Context, Logout) error           { return nil }

// FuzzSession shows a session lines: those that begin with "<" are of the server.
func FuzzSession(f *testing.F) {
	f.Add(authCall(1) + "\n<" + granted(1, "a", "connection") + "\n" + privateCall + "\n" + withToken)
	f.Add(publicCall + "\n[" + publicCall + "," + privateCall + "]\n" + call42("private/logout", "{}"))
	f.Add(`{"id":1,"method":"public/auth","params":{"refresh_token":"r"}}` + "\n" + cancelCall(2, "enable", "account"))
	d, err := dialect.Named("deribit")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		s, err := NewSession(Config{Authorizer: nobody{}, Dialect: d, UnexpectedCloseCall: "private/cancel_all", CancelOnDisconnect: true})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(lines, "\n") {
			if message, found := strings.CutPrefix(line, "<"); found {
				s.FromServer(t.Context(), []byte(message))
				continue
			}
			got := s.FromClient(t.Context(), []byte(line))
			switch {
			case got.Action == Forward:
				checkForwarded(t, line)
			case got.Action == Answer:
				checkAnswered(t, line, got.Payload)
			case got.Action == Close && got.Code != CloseTooLarge:
				t.Fatalf("%s: closed with %d", line, got.Code)
			}
		}
		if s.LoggedOut() {
			t.Fatal("logged out")
		}
	})
}

// checkForwarded checks that a forwarded message holds no call that needs a credential,
// by whatever reading.
func checkForwarded(t *testing.T, message string) {
	t.Helper()
	all, err := readAsOthers([]byte(message))
	if err != nil {
		t.Fatalf("%s is forwarded: %v", message, err)
	}
	for _, m := range all {
		if m.Method == nil || !strings.HasPrefix(*m.Method, "public/") || strings.ContainsAny((*m.Method)[len("public/"):], `/\. %`) {
			t.Fatalf("%s is forwarded", message)
		}
		var params struct {
			RefreshToken any `json:"refresh_token"`
		}
		tokens := *m.Method == "public/auth" || *m.Method == "public/fork_token" || *m.Method == "public/exchange_token"
		if tokens && json.Unmarshal(m.Params, &params) == nil && params.RefreshToken != nil && params.RefreshToken != "" {
			t.Fatalf("%s is forwarded", message)
		}
	}
}

// checkAnswered checks that what a client is answered is JSON-RPC again.
func checkAnswered(t *testing.T, message string, payload []byte) {
	t.Helper()
	p, err := Parse(payload)
	if err != nil {
		t.Fatalf("%s is answered with %s: %v", message, payload, err)
	}
	for _, m := range p.Messages {
		if m.Kind != Response || !m.Failed() {
			t.Fatalf("%s is answered with %s", message, payload)
		}
	}
}
