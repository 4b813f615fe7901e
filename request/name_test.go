package request

import (
	"strings"
	"testing"
)

func TestNamesThatSomeParserTakesForOne(t *testing.T) {
	n := NewName("refresh_token")
	for _, other := range []string{
		"refresh_token", "refreshToken", "REFRESH_TOKEN", "Refresh-Token", "refresh.token", "refresh token", " refresh_token", "refresh_token ",
		"[refresh_token]", "[refresh_token", "refresh[token", "refresh_token[", "refresh_token[]", "refresh_token[0]", "refresh_token[a][b]",
		"refresh_token.x", "refresh_token\x00", "refresh_token\x00x", "%72efresh_token", "refresh%5ftoken", "%2572efresh_token", "refresh_token%00x",
		"refre\u017fh_token", "refresh_to\u212aen", "\uff52efresh_token", "r\u00e9fresh_token", "refresh_token\xff",
		"refresh^token", "\ufeffrefresh_token", "refresh\u00a0token",
	} {
		if !n.Resembles(other) {
			t.Errorf("%q is another name", other)
		}
		if n.Is(other) != (other == "refresh_token") {
			t.Errorf("%q: Is = %v", other, n.Is(other))
		}
	}
	for _, other := range []string{
		"", "refresh", "refresh_tokens", "token", "refresh_token_hint", "refresh_token_expires_in", "a[refresh_token]", "x\x00refresh_token", "access_token",
		"refresh_token2", "xrefresh_token", "\u0440efresh_token",
	} {
		if n.Resembles(other) {
			t.Errorf("%q is taken for it", other)
		}
	}
	if NewName("").Resembles("__") || NewName("_").Resembles("-") || (Name{}).Resembles("-") {
		t.Error("names without a letter resemble one another")
	}
	if !NewName("_").Resembles("_") {
		t.Error("a name does not resemble itself")
	}
	if !NewName("session").Resembles("\u017fe\u00dfion") {
		t.Error("full case folding is not taken into account")
	}
}

func TestPathsThatSomeUpstreamRoutesAlike(t *testing.T) {
	s := NewPathSkeleton("/auth/log-out")
	for _, path := range []string{"/auth/log-out", "/AUTH/Log-Out", "/auth/logout", "/auth/log_out", "/auth/log-out.json", "/auth/log-out.tar.gz", "/auth/log\uff0dout", "/auth/log-out!"} {
		if !s.Resembles(path) {
			t.Errorf("%q is another path", path)
		}
	}
	for _, path := range []string{"/auth/logouts", "/auth/log/out", "/authlogout", "/auth/log-out/all", "/auth/log-out.json/x", "/auth/logout2", "/", ""} {
		if s.Resembles(path) {
			t.Errorf("%q is taken for it", path)
		}
	}
}

func TestComparingPlainNamesCostsNoAllocation(t *testing.T) {
	n, s := NewName("X-Token"), NewPathSkeleton("/auth/logout")
	if allocs := testing.AllocsPerRun(100, func() {
		n.Resembles("X-Forwarded-For")
		n.Resembles("x_token")
		s.Resembles("/auth/LOGOUT")
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// Whatever is compared, a name is its own likeness, and case and punctuation change nothing.
func FuzzResembles(f *testing.F) {
	for _, seed := range []string{"refresh_token", "\u0130", "%2572", "a[b]", "\x00", "\ufb03", "\u1e9e"} {
		f.Add(seed, "_")
	}
	f.Fuzz(func(t *testing.T, text, between string) {
		n := NewName(text)
		if !n.Resembles(text) {
			t.Errorf("%q does not resemble itself", text)
		}
		if strings.ContainsAny(text, "%\x00[]._") || n.skeleton == "" {
			return
		}
		if !n.Resembles("_" + text + "-") {
			t.Errorf("%q: punctuation around it counts", text)
		}
		for _, folded := range []string{strings.ToUpper(text), strings.ToLower(text)} {
			if !n.Resembles(folded) {
				t.Errorf("%q is not %q", folded, text)
			}
		}
	})
}
