package workload

import (
	"slices"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
	"example.com/caddy-token-auth/token"
)

func TestTokensVerifyAndHaveTheIdentitiesOfTheirNumbers(t *testing.T) {
	for _, alg := range []string{"HS256", "RS256", "ES256"} {
		signer, err := NewSigner(alg)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := signer.Tokens(0, 5)
		if err != nil {
			t.Fatal(err)
		}
		verifier := verifierFor(t, signer, alg)
		for i, want := range Identities(5) {
			verified, err := verifier.Verify(t.Context(), tokens[i])
			if err != nil {
				t.Fatalf("%s, token %d: %v", alg, i, err)
			}
			id := verified.Identity()
			if id.Token() != want.Token() || id.Session() != want.Session() || id.Client() != want.Client() {
				t.Errorf("%s, token %d: identity %v, want %v", alg, i, id, want)
			}
		}
	}
}

func verifierFor(t *testing.T, signer *Signer, alg string) *token.Verifier {
	t.Helper()
	text, err := signer.VerificationKey()
	if err != nil {
		t.Fatal(err)
	}
	var keys []token.VerificationKey
	if alg == "HS256" {
		var key token.VerificationKey
		key, err = token.NewHMACKey([]byte(text))
		keys = append(keys, key)
	} else {
		keys, err = token.ParsePublicKeys([]byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier(token.Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func TestTokensAreNumberedFromTheFirst(t *testing.T) {
	signer, err := NewSigner("HS256")
	if err != nil {
		t.Fatal(err)
	}
	all, err := signer.Tokens(0, 5)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := signer.Tokens(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(all[2:], rest) {
		t.Error("tokens 2 to 4 differ from those of the whole range")
	}
}

func TestUnknownAlgorithmIsAnError(t *testing.T) {
	if _, err := NewSigner("none"); err == nil {
		t.Error("there is a signer for none")
	}
}

func TestFillRevokesAsManyAndNoneOfTheTokens(t *testing.T) {
	const n = 2*batch + 7
	store := memstore.New()
	if err := Fill(t.Context(), store, n); err != nil {
		t.Fatal(err)
	}
	live := 0
	err := store.Scan(t.Context(), func(e revocation.Entry) error {
		if e.Live(time.Now().Add(Lifetime - time.Minute)) {
			live++
		}
		return nil
	})
	if err != nil || live != n {
		t.Errorf("%d live revocations, %v; want %d", live, err, n)
	}
	list, err := revocation.Open(t.Context(), store, revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for i, id := range Identities(10) {
		if verdict, err := list.Check(t.Context(), id); verdict != revocation.Live {
			t.Errorf("identity %d: %s, %v", i, verdict, err)
		}
	}
}
