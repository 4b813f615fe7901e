package jwks

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/token"
)

// description is what an issuer says of itself.
func description(issuer, keys string) string {
	return string(must(jsonOf(map[string]any{"issuer": issuer, "jwks_uri": keys, "scopes_supported": []string{"openid"}})))
}

func discover(t *testing.T, issuer string, o Options) *Source {
	t.Helper()
	s, err := FromIssuer(issuer, o)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

func TestDiscoveryFindsTheKeys(t *testing.T) {
	for issuer, address := range map[string]string{ // OpenID Connect Discovery 1.0 §4.1
		"https://a.example":            "https://a.example/.well-known/openid-configuration",
		"https://a.example/":           "https://a.example/.well-known/openid-configuration",
		"https://a.example/realm":      "https://a.example/realm/.well-known/openid-configuration",
		"https://a.example/realm/":     "https://a.example/realm/.well-known/openid-configuration",
		"https://a.example:8443/x%2Fy": "https://a.example:8443/x%2Fy/.well-known/openid-configuration",
		"http://localhost:8080":        "http://localhost:8080/.well-known/openid-configuration",
	} {
		synctest.Test(t, func(t *testing.T) {
			key := newSigner("1")
			web := newSite(map[string]string{address: description(issuer, setURL), setURL: published(key)})
			s := discover(t, issuer, options(web))
			v := must(token.NewVerifier(token.Config{Sources: []token.Source{{Issuer: issuer, Keys: s}}, Issuers: []string{issuer}}))
			expect(t, v, issuer, key.token(issuer), nil)
			if s.String() != issuer {
				t.Error(s)
			}
		})
	}
}

func TestWrongDescriptions(t *testing.T) {
	good := description(issuerA, setURL)
	for name, doc := range map[string]string{
		"another issuer":          description(issuerB, setURL),
		"a slash more":            description(issuerA+"/", setURL),
		"another case":            description(strings.ToUpper(issuerA), setURL),
		"no issuer":               `{"jwks_uri":"` + setURL + `"}`,
		"issuer an array":         `{"issuer":["` + issuerA + `"],"jwks_uri":"` + setURL + `"}`,
		"two issuers":             `{"issuer":"` + issuerB + `",` + good[1:],
		"no jwks_uri":             `{"issuer":"` + issuerA + `"}`,
		"jwks_uri null":           `{"issuer":"` + issuerA + `","jwks_uri":null}`,
		"jwks_uri relative":       description(issuerA, "/keys"),
		"jwks_uri over http":      description(issuerA, "http://a.example/keys"),
		"jwks_uri over http, ::1": description(issuerA, "http://[::1]/keys"),
		"jwks_uri a file":         description(issuerA, "file:///etc/keys"),
		"jwks_uri with password":  description(issuerA, "https://u:p@a.example/keys"),
		"HTML":                    "<html></html>",
		"truncated":               good[:len(good)-1],
		"too large":               good + strings.Repeat(" ", maxSize),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := newSigner("1")
				web := newSite(map[string]string{issuerA + wellKnown: doc, setURL: published(key), "http://[::1]/keys": published(key)})
				s := discover(t, issuerA, options(web))
				v := verifier(t, token.Source{Issuer: issuerA, Keys: s})
				expect(t, v, name, key.token(issuerA), token.ErrKeysUnavailable)
				synctest.Wait()
				if !errors.Is(s.Status().Err, ErrDiscovery) {
					t.Errorf("status %v", s.Status().Err)
				}
				if strings.Contains(s.Status().Err.Error(), "b.example") {
					t.Errorf("the error quotes the answer: %v", s.Status().Err)
				}
			})
		})
	}
}

func TestOnlyTheDescriptionOfAnHTTPIssuerMayNamePlainHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const issuer = "http://idp.internal:8080"
		web := newSite(map[string]string{issuer + wellKnown: description(issuer, issuer+"/keys"), issuer + "/keys": published(newSigner("1"))})
		if s, err := FromIssuer(issuer, options(web)); err == nil || s != nil {
			t.Error("accepted without AllowHTTP")
		}
		o := options(web)
		o.AllowHTTP = true
		s := discover(t, issuer, o)
		synctest.Wait()
		if s.Status().Keys != 1 {
			t.Error(s.Status().Err)
		}
		// AllowHTTP does not let an https issuer fall back.
		web.set(issuerA+wellKnown, description(issuerA, issuer+"/keys"))
		s = discover(t, issuerA, o)
		synctest.Wait()
		if s.Status().Keys != 0 {
			t.Error("jwks_uri left https")
		}
	})
}

func TestBadIssuersAreRefused(t *testing.T) {
	for _, issuer := range []string{
		"", "a.example", "http://a.example", "https://a.example?x=1", "https://a.example/?", "https://a.example/#", "https://a.example/#x", "https://u@a.example",
	} {
		if s, err := FromIssuer(issuer, Options{}); err == nil || s != nil {
			t.Errorf("%q: accepted", issuer)
		}
	}
}

// A request that waits costs one fetch; a refresh reads the description again.
func TestTheKeySetMayMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, next := newSigner("first"), newSigner("next")
		const moved = "https://a.example/moved"
		web := newSite(map[string]string{issuerA + wellKnown: description(issuerA, setURL), setURL: published(first)})
		v := verifier(t, token.Source{Issuer: issuerA, Keys: discover(t, issuerA, options(web))})
		expect(t, v, "first", first.token(issuerA), nil)
		web.count()
		web.set(setURL, published(first, next))
		expect(t, v, "next", next.token(issuerA), nil)
		if n := web.count(); n != 1 {
			t.Errorf("%d fetches while a request waits", n)
		}
		web.set(issuerA+wellKnown, description(issuerA, moved))
		web.set(moved, published(next))
		time.Sleep(DefaultRefresh)
		synctest.Wait()
		expect(t, v, "first, gone", first.token(issuerA), token.ErrUnknownKey)
		expect(t, v, "next, moved", next.token(issuerA), nil)
	})
}

// However often tokens make us fetch, the refresh comes when it is due.
func TestDemandDoesNotPutOffTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, next := newSigner("first"), newSigner("next")
		web := newSite(map[string]string{issuerA + wellKnown: description(issuerA, setURL), setURL: published(first)})
		v := verifier(t, token.Source{Issuer: issuerA, Keys: discover(t, issuerA, options(web))})
		expect(t, v, "first", first.token(issuerA), nil)
		web.set(issuerA+wellKnown, description(issuerA, "https://a.example/moved"))
		web.set("https://a.example/moved", published(next))
		for begin := time.Now(); time.Since(begin) < DefaultRefresh+time.Minute; time.Sleep(7 * time.Second) {
			_, _ = v.Verify(t.Context(), newSigner(time.Now().String()).token(issuerA))
		}
		expect(t, v, "next", next.token(issuerA), nil)
		if got := slices.Sorted(maps.Keys(web.fetches)); !slices.Contains(got, "https://a.example/moved") {
			t.Errorf("fetched %q", got)
		}
	})
}
