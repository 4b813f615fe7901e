package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/bench/internal/workload"
)

// handlerCases say how many tokens take turns.
var handlerCases = []struct {
	name  string
	count int
}{
	{"hot", 1},
	{"tokens=10000", distinct},
}

// tokensOf returns a signer and distinct tokens of it, made once for each algorithm.
var tokensOf = map[string]func() (*workload.Signer, []string, error){
	"HS256": once("HS256"),
	"RS256": once("RS256"),
	"ES256": once("ES256"),
}

func once(alg string) func() (*workload.Signer, []string, error) {
	type made struct {
		signer *workload.Signer
		tokens []string
		err    error
	}
	get := sync.OnceValue(func() (m made) {
		if m.signer, m.err = workload.NewSigner(alg); m.err == nil {
			m.tokens, m.err = m.signer.Tokens(0, distinct)
		}
		return m
	})
	return func() (*workload.Signer, []string, error) {
		m := get()
		return m.signer, m.tokens, m.err
	}
}

func mustTokens(tb testing.TB, alg string, n int) (*workload.Signer, []string) {
	tb.Helper()
	signer, tokens, err := tokensOf[alg]()
	if err != nil {
		tb.Fatal(err)
	}
	return signer, tokens[:n]
}

// BenchmarkHandler runs the handler for requests whose tokens it has seen before.
// Of its ns/op, those of BenchmarkNothing are the benchmark's own.
func BenchmarkHandler(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "ES256"} {
		for _, n := range revocations {
			for _, c := range handlerCases {
				b.Run(fmt.Sprintf("%s/revocations=%d/%s", alg, n, c.name), func(b *testing.B) {
					signer, tokens := mustTokens(b, alg, c.count)
					s := newSite(b, n, signer, alg, nil)
					sequential(b, s, s.handler, tokens)
				})
			}
		}
	}
}

// BenchmarkNothing is BenchmarkHandler with a middleware that only calls the next one.
func BenchmarkNothing(b *testing.B) {
	for _, c := range handlerCases {
		b.Run("RS256/"+c.name, func(b *testing.B) {
			_, tokens := mustTokens(b, "RS256", c.count)
			sequential(b, new(site), nothing{}, tokens)
		})
	}
}

// BenchmarkHandlerForwardIdentity also tells the upstream who is calling.
func BenchmarkHandlerForwardIdentity(b *testing.B) {
	signer, tokens := mustTokens(b, "RS256", distinct)
	s := newSite(b, revocations[0], signer, "RS256", map[string]any{
		"forward_identity": []any{map[string]any{"header": "X-Client-ID", "claims": []string{"sub"}}},
	})
	sequential(b, s, s.handler, tokens)
}

// BenchmarkHandlerFirstSeen is what a token costs when it comes for the first time
// and its signature is checked.
func BenchmarkHandlerFirstSeen(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "ES256"} {
		b.Run(alg, func(b *testing.B) {
			signer, tokens := mustTokens(b, alg, distinct)
			s := newSite(b, revocations[0], signer, alg, nil)
			next, c := new(counter), s.newClient()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := c.send(s.handler, tokens[i], next); err != nil {
					b.Fatal(err)
				}
				if i++; i == len(tokens) {
					b.StopTimer()
					s = newSite(b, revocations[0], signer, alg, nil)
					i = 0
					b.StartTimer()
				}
			}
		})
	}
}

func BenchmarkHandlerParallel(b *testing.B) {
	for _, c := range handlerCases {
		b.Run("RS256/revocations=1000000/"+c.name, func(b *testing.B) {
			signer, tokens := mustTokens(b, "RS256", c.count)
			s := newSite(b, 1_000_000, signer, "RS256", nil)
			parallel(b, s, s.handler, tokens)
		})
	}
}

func BenchmarkNothingParallel(b *testing.B) {
	for _, c := range handlerCases {
		b.Run("RS256/"+c.name, func(b *testing.B) {
			_, tokens := mustTokens(b, "RS256", c.count)
			parallel(b, new(site), nothing{}, tokens)
		})
	}
}

// sequential sends the tokens through handler, one after the other and again.
func sequential(b *testing.B, s *site, handler caddyhttp.MiddlewareHandler, tokens []string) {
	b.Helper()
	next, c := new(counter), s.newClient()
	mustPass(b, c, handler, tokens)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := c.send(handler, tokens[i], next); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(tokens) {
			i = 0
		}
	}
	if next.calls != b.N {
		b.Fatalf("%d of %d requests were let through", next.calls, b.N)
	}
}

// parallel is sequential on all cores at once.
func parallel(b *testing.B, s *site, handler caddyhttp.MiddlewareHandler, tokens []string) {
	b.Helper()
	mustPass(b, s.newClient(), handler, tokens)
	var workers, passed atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		next, c := new(counter), s.newClient()
		i := int(workers.Add(1)) * 2503 % len(tokens)
		for pb.Next() {
			if err := c.send(handler, tokens[i], next); err != nil {
				b.Error(err)
				return
			}
			if i++; i == len(tokens) {
				i = 0
			}
		}
		passed.Add(int64(next.calls))
	})
	if passed.Load() != int64(b.N) {
		b.Fatalf("%d of %d requests were let through", passed.Load(), b.N)
	}
}

// mustPass sends each token once, so that caches have it.
func mustPass(tb testing.TB, c *client, handler caddyhttp.MiddlewareHandler, tokens []string) {
	tb.Helper()
	next := new(counter)
	for _, token := range tokens {
		if err := c.send(handler, token, next); err != nil {
			tb.Fatal(err)
		}
	}
	if next.calls != len(tokens) {
		tb.Fatalf("%d of %d tokens were let through", next.calls, len(tokens))
	}
}

// TestHandlerLetsTheBenchmarkThrough keeps the benchmarks working: nobody runs them
// with the tests. A token of another key must not pass, or they measure nothing.
func TestHandlerLetsTheBenchmarkThrough(t *testing.T) {
	signer, err := workload.NewSigner("HS256")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := signer.Tokens(0, 20)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, revocations[0], signer, "HS256", nil)
	mustPass(t, s.newClient(), s.handler, tokens)
	mustPass(t, new(site).newClient(), nothing{}, tokens)

	other, err := workload.NewSigner("HS256")
	if err != nil {
		t.Fatal(err)
	}
	if tokens, err = other.Tokens(0, 1); err != nil {
		t.Fatal(err)
	}
	next := new(counter)
	if err := s.newClient().send(s.handler, tokens[0], next); err != nil || next.calls != 0 {
		t.Errorf("a token of another key came through %d times, %v", next.calls, err)
	}
}
