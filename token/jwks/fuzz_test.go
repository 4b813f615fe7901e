package jwks

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"example.com/caddy-token-auth/token"
)

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

// FuzzParse compares what Parse accepts with what go-jose reads from the same document,
// and checks what must hold for any key that comes out.
func FuzzParse(f *testing.F) {
	f.Add([]byte(published(newSigner("1"), newSigner(""))))
	f.Add([]byte(document(members(rsaKey().Public(), map[string]any{"use": "sig", "alg": "RS256", "kid": "r"}))))
	f.Add([]byte(document(members(p256Key().Public(), map[string]any{"key_ops": []string{"verify"}}))))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := Parse(doc)
		if (err == nil) != (len(set.Keys) > 0) || len(set.Keys) > token.MaxKeys {
			t.Fatalf("%d keys, %v", len(set.Keys), err)
		}
		if err != nil && !slices.Contains([]error{ErrNotKeySet, ErrTooLarge, ErrNoUsableKey}, err) {
			t.Fatalf("the error %q may quote the document", err)
		}
		if err != nil {
			return
		}
		var reference struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(doc, &reference); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		var public []string
		for _, raw := range reference.Keys {
			var metadata map[string]json.RawMessage
			if json.Unmarshal(raw, &metadata) != nil {
				continue
			}
			// Parse does not look at certificates.
			delete(metadata, "x5c")
			delete(metadata, "x5u")
			delete(metadata, "x5t")
			delete(metadata, "x5t#S256")
			raw, _ = json.Marshal(metadata)
			var key jose.JSONWebKey
			if json.Unmarshal(raw, &key) != nil || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
				continue
			}
			if k, err := token.NewPublicKey(key.Key); err == nil {
				public = append(public, key.KeyID+" "+k.Fingerprint())
			}
		}
		for _, key := range set.Keys {
			if slices.ContainsFunc(key.Algorithms(), func(alg string) bool { return strings.HasPrefix(alg, "HS") }) {
				t.Fatal("a shared secret")
			}
			if !slices.Contains(public, key.ID()+" "+key.Fingerprint()) {
				t.Fatalf("%s is no public key for signatures", key)
			}
		}
		if ring := new(token.KeyRing); ring.Replace(set.Keys) != nil {
			t.Fatal("no ring takes these keys")
		}
	})
}
