package history

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"
)

var testLimits = limits{staleness: 5 * time.Second, delay: 2 * time.Second, margin: 3 * time.Second, login: time.Second, clock: 100 * time.Millisecond}

// at is a time in a history of a test, in milliseconds.
func at(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

func check(replica int, token string, from, status int) operation {
	return operation{Replica: replica, Token: token, From: at(from), To: at(from + 10), Status: status}
}

func logout(replica int, scope, token string, from, to, status int) operation {
	return operation{Replica: replica, Scope: scope, Token: token, From: at(from), To: at(to), Status: status}
}

// world are the tokens of all test histories: of one client, the first two of one session.
var world = []issue{
	{"first", "s1", "c1", at(0), nil},
	{"second", "s1", "c1", at(1000), nil},
	{"other session", "s2", "c1", at(0), nil},
	{"other client", "s3", "c2", at(0), nil},
	{"later", "s1", "c1", at(21_000), nil},
	{"same second", "s1", "c1", at(20_000), nil},
	{"login after", "s1", "c1", at(20_000), &login{1, at(20_101), at(20_110)}},
	{"login meanwhile", "s1", "c1", at(20_000), &login{1, at(20_050), at(20_110)}},
}

// The logouts of these histories begin at 20.0 s and are acknowledged at 20.1 s.
var histories = []struct {
	name string
	want []rule
	ops  []operation
	f    []fault
}{
	{"what was logged out is let through by the same replica", []rule{sameReplica}, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "first", 20_101, 200),
	}, nil},
	{
		"the same after a restart",
		[]rule{sameReplica},
		[]operation{
			logout(0, "client", "first", 20_000, 20_100, 200), check(0, "second", 25_000, 204),
		},
		[]fault{{"kill", 0, at(21_000), at(24_000)}},
	},
	{"a session's other token is let through", []rule{sameReplica}, []operation{
		logout(0, "session", "first", 20_000, 20_100, 200), check(0, "second", 20_101, 200),
	}, nil},
	{"a client's other session is let through", []rule{sameReplica}, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "other session", 20_101, 200),
	}, nil},
	{"a token of the second of the logout is let through", []rule{sameReplica}, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "same second", 20_500, 200),
	}, nil},
	{"a logged out token logs out", []rule{sameReplica}, []operation{
		logout(0, "token", "first", 20_000, 20_100, 200), logout(0, "token", "first", 20_200, 20_300, 200),
	}, nil},
	{
		"another replica never learns of it",
		[]rule{boundStaleness},
		[]operation{
			logout(0, "token", "first", 20_000, 20_100, 200), check(1, "first", 25_101, 200),
		},
		[]fault{{"blackhole", 1, at(10_000), at(30_000)}},
	},
	{
		"a healthy replica learns of it late",
		[]rule{healthyDelay},
		[]operation{
			logout(0, "token", "first", 20_000, 20_100, 200), check(1, "first", 22_101, 200),
		},
		[]fault{{"blackhole", 2, at(10_000), at(30_000)}, {"kill", 1, at(10_000), at(17_000)}},
	},
	{"a token is refused that was not logged out", []rule{falseRefusal}, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "other client", 20_101, 401),
	}, nil},
	{"a token is refused before the logout", []rule{falseRefusal}, []operation{
		check(0, "first", 19_000, 401), logout(0, "client", "first", 20_000, 20_100, 200),
	}, nil},
	{"another session is refused", []rule{falseRefusal}, []operation{
		logout(0, "session", "first", 20_000, 20_100, 200), check(0, "other session", 20_101, 401),
	}, nil},
	{"a later token is refused", []rule{falseRefusal}, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "later", 21_500, 401),
	}, nil},
	{"a refused logout has an effect", []rule{falseRefusal, falseRefusal}, []operation{
		logout(0, "client", "first", 20_000, 20_100, 401), check(1, "second", 20_200, 401),
	}, nil},
	{
		"a login after the logout is refused", []rule{lostLogin}, []operation{
			logout(1, "client", "first", 20_000, 20_100, 200), check(0, "login after", 20_120, 401),
		}, nil,
	},
	{
		"a login by another replica, long after the logout, is refused", []rule{lostLogin}, []operation{
			logout(0, "client", "first", 19_000, 19_100, 200), check(0, "login after", 20_120, 401),
		}, nil,
	},
	{
		"good: a login by a replica that may not have heard of the logout", nil, []operation{
			logout(0, "client", "first", 20_000, 20_100, 200), check(0, "login after", 20_120, 401),
		}, nil,
	},
	{
		"a later logout does not cover what a login has issued", []rule{sameReplica}, []operation{
			logout(0, "client", "login after", 20_120, 20_200, 200), check(0, "login after", 20_201, 200),
		}, nil,
	},
	{
		"good: a login after the logout by a replica that is cut off", nil, []operation{
			logout(1, "client", "first", 20_000, 20_100, 200), check(1, "login after", 20_120, 401),
		}, []fault{{"blackhole", 1, at(20_000), at(20_300)}},
	},
	{
		"good: a login during the logout, either way", nil, []operation{
			logout(0, "client", "first", 20_000, 20_100, 200), check(0, "login meanwhile", 20_120, 200), check(1, "login meanwhile", 20_120, 401),
		}, nil,
	},
	{
		"good: a login after a logout that was not acknowledged", nil, []operation{
			logout(1, "client", "first", 20_000, 20_100, 503), check(0, "login after", 20_120, 401),
		}, nil,
	},
	{"the upstream cannot be reached", []rule{strangeAnswer}, []operation{check(0, "first", 20_000, 502)}, nil},
	{"a token from nowhere", []rule{unknownToken}, []operation{check(0, "forged", 20_000, 401)}, nil},

	{"good: refused everywhere", nil, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200),
		check(0, "first", 20_101, 401), check(1, "first", 20_101, 401), check(2, "other session", 20_101, 401),
	}, nil},
	{"good: a request that began before the acknowledgement", nil, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "first", 20_099, 200),
	}, nil},
	{"good: another replica is within the bound", nil, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(1, "first", 22_100, 200),
	}, nil},
	{
		"good: a replica that is cut off is within its bound", nil,
		[]operation{
			logout(0, "client", "first", 20_000, 20_100, 200), check(1, "first", 25_100, 200), check(1, "first", 25_101, 503),
		},
		[]fault{{"blackhole", 1, at(19_000), at(30_000)}},
	},
	{
		"good: the store was away a moment ago", nil,
		[]operation{
			logout(0, "client", "first", 20_000, 20_100, 200), check(1, "first", 24_000, 200),
		},
		[]fault{{"store", everyone, at(10_000), at(17_500)}},
	},
	{"good: an unacknowledged logout has no effect", nil, []operation{
		logout(0, "client", "first", 20_000, 20_100, 503), check(0, "first", 30_000, 200),
	}, nil},
	{"good: an unacknowledged logout has one", nil, []operation{
		logout(0, "client", "first", 20_000, 20_100, 0), check(0, "second", 30_000, 401),
	}, nil},
	{"good: later tokens", nil, []operation{
		logout(0, "client", "first", 20_000, 20_100, 200), check(0, "later", 21_000, 200), check(1, "later", 21_000, 503),
	}, nil},
	{"good: a logout of one token leaves the others alone", nil, []operation{
		logout(0, "token", "first", 20_000, 20_100, 200), check(0, "second", 20_200, 200),
	}, nil},
	{"good: no answer", nil, []operation{check(0, "first", 20_000, 0)}, nil},
}

func TestCheckerTellsGoodHistoriesFromBadOnes(t *testing.T) {
	for _, c := range histories {
		h := &history{Issues: world, Operations: c.ops, Faults: c.f}
		var got []rule
		for _, v := range h.check(testLimits) {
			got = append(got, v.rule)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDelaysAreThoseOfHealthyReplicas(t *testing.T) {
	h := &history{Issues: world, Operations: []operation{
		logout(0, "token", "first", 20_000, 20_100, 200),
		check(1, "first", 20_150, 200), check(1, "first", 20_130, 200), check(1, "first", 20_160, 401),
		check(2, "first", 20_900, 200), check(2, "first", 20_950, 401),
		logout(0, "token", "other client", 40_000, 40_100, 200),
		check(1, "other client", 40_100, 401), check(1, "other client", 40_101, 401),
		check(2, "other client", 40_102, 200), // and was never asked again
	}, Faults: []fault{{"blackhole", 2, at(10_000), at(20_000)}}}
	if got, want := h.delays(testLimits), []time.Duration{0, at(50)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHistoryIsReadAsItWasWritten(t *testing.T) {
	h := &history{Issues: world, Operations: histories[1].ops, Faults: histories[1].f}
	var file bytes.Buffer
	if err := h.write(&file); err != nil {
		t.Fatal(err)
	}
	got, err := readHistory(&file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, want %+v", got, h)
	}
}
