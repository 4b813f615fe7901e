package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// leastAttacks is how many different credentials the tables must hold, so that they
// cannot shrink unnoticed. Those that the server refuses before us are not counted.
const leastAttacks = 750

// attack is a credential that must be refused.
type attack struct {
	name string
	// token is sent as Authorization: Bearer, or as a query parameter. An attack that is
	// not in the token has lines, a query or a body instead.
	token  string
	lines  string // of the header, each with its end of line
	query  string // with its question mark
	body   string
	method string // of one protected call; if empty, that is a GET and the logout is tried too
	status int    // 401 if 0
	want   string // bodyInvalid if empty
}

// credential is what one attack differs from another by.
func (a attack) credential() string { return a.token + a.lines + a.query + a.body }

// tokens makes attacks of a list of names and tokens.
func tokens(namesAndTokens ...string) []attack {
	rows := make([]attack, 0, len(namesAndTokens)/2)
	for pair := range slices.Chunk(namesAndTokens, 2) {
		rows = append(rows, attack{name: pair[0], token: pair[1]})
	}
	return rows
}

// send writes a request to a connection of its own, byte by byte as it is given, and
// returns the first answer.
func (s *site) send(request string) answer {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	defer conn.Close()
	writing.Go(func() {
		// A server that has read enough answers without the rest, so that writing may fail.
		_, _ = io.WriteString(conn, request)
	})
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// refusesAll tries each attack on a protected call and on the logout. None may reach
// the upstream. The tokens go into the query if inQuery is set: there every byte
// reaches the verification as it is.
func (s *site) refusesAll(t *testing.T, upstream *echo, inQuery bool, rows []attack) {
	t.Helper()
	names := make(map[string]bool)
	for _, row := range rows {
		if names[row.name] {
			t.Errorf("two attacks have the name %q", row.name)
		}
		names[row.name] = true
		lines, query := row.lines, row.query
		switch {
		case row.token != "" && inQuery:
			query = "?access_token=" + url.QueryEscape(row.token)
		case row.token != "":
			lines = bearer(row.token) + "\r\n"
		}
		status, want := row.status, row.want
		if status == 0 {
			status = http.StatusUnauthorized
		}
		if want == "" {
			want = bodyInvalid
		}
		calls := []string{"GET /v1/cards", "POST /auth/logout"}
		if row.method != "" {
			calls = []string{row.method + " /v1/cards"}
		}
		before := len(upstream.requests())
		for _, call := range calls {
			a := s.send(fmt.Sprintf("%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n%s", call, query, s.addr, lines, row.body))
			a.want(t, row.name+", "+call, status, want)
		}
		if len(upstream.requests()) > before {
			t.Errorf("%s: the upstream was reached", row.name)
		}
	}
}

// accepts checks that nothing is wrong with the tokens that the attacks are made from,
// so that each attack is refused for what is wrong with it.
func (s *site) accepts(t *testing.T, genuine ...string) {
	t.Helper()
	for _, raw := range genuine {
		s.do("GET", "/v1/cards", "", bearer(raw)).want(t, "a genuine token", 200, "GET /v1/cards ")
	}
}

func TestAttacksAreRefused(t *testing.T) {
	f := newForge(t)
	different := make(map[string]bool)
	// against starts a site with further options, which must accept genuine tokens before
	// the attacks and after them: what was forged names their client and their jti, and was
	// sent to the logout too.
	against := func(name, options string, inQuery bool, genuine []string, tables ...func() []attack) {
		t.Run(name, func(t *testing.T) {
			upstream := new(echo)
			s := start(t, upstream, f.options()+options)
			f.t, f.upstream = t, s.upstream.URL
			s.accepts(t, genuine...)
			for _, table := range tables {
				rows := table()
				s.refusesAll(t, upstream, inQuery, rows)
				for _, row := range rows {
					if row.status == 0 {
						different[row.credential()] = true
					}
				}
			}
			s.accepts(t, genuine...)
		})
	}
	genuine := []string{
		f.genuine("HS256"), f.genuine("RS256"), f.genuine("PS256"), f.genuine("ES256"), f.genuine("EdDSA"),
		// What the attacks on claims, spelling and size change one thing of.
		f.claims(), f.respelled(0, asIs), f.respelled(1, asIs), f.ofLength(8192), f.nested(10), f.typed(`"JWT"`), f.typed(`"at+jwt"`),
		assemble(`{"alg":"HS256","kid":"k","x":1}`, f.payload(), f.hmac()),
	}
	var inToken []attack // made once: some signatures are random
	makeOnce := func() []attack {
		if inToken == nil {
			inToken = slices.Concat(f.unsecured(), f.confused(), f.ownKeys(), f.signatures(),
				f.serialisations(), f.spellings(), f.headers(), f.documents(), f.sizes(), f.claimTypes(), f.claimTimes())
		}
		return inToken
	}
	const places = "\nfrom header Authorization Bearer\nfrom cookie session\nfrom query access_token"
	against("Authorization", "", false, genuine, makeOnce, f.authorizationFields, f.refusedByTheServer)
	against("query", places, true, genuine, makeOnce, f.lineBreaks)
	against("two places", places, false, genuine[:1], f.twoPlaces)
	against("issuer and audience", "\nissuer https://a.example\naudience api", false,
		[]string{f.claims("iss", `"https://a.example"`, "aud", `["web","api"]`)}, f.pinned)

	t.Logf("%d different credentials", len(different))
	if len(different) < leastAttacks {
		t.Errorf("%d different credentials, want at least %d", len(different), leastAttacks)
	}
}
