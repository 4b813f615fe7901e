package revocation_test

import (
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func TestLoginAfterALogoutElsewhereIsGood(t *testing.T) {
	store := newFedStore()
	f := openFed(t, store)
	f.follow(t)
	old := revocation.NewIdentity("r", "old", "s", "alice", f.clock.Now().Truncate(time.Second), f.clock.Now().Add(time.Hour))
	cut := store.elsewhere(t, f.clock, old, revocation.ScopeSession) // acknowledged by replica A
	f.clock.advance(time.Millisecond)
	mark := f.Mark()                                        // then a login begins at replica B
	f.watch.sink.Changed([]revocation.Entry{cut}, nil, "1") // B's feed is a moment later
	id := revocation.NewIdentity("r", "new", "s", "alice", f.clock.Now().Truncate(time.Second), f.clock.Now().Add(time.Hour))
	if err := f.Issued(t.Context(), id, mark); err != nil {
		t.Fatal(err)
	}
	if v, err := f.Check(t.Context(), id); v != revocation.Live {
		t.Errorf("%v %v", v, err)
	}
}

func TestLogoutElsewhereDuringALoginCoversIt(t *testing.T) {
	store := newFedStore()
	f := openFed(t, store)
	f.follow(t)
	id := revocation.NewIdentity("r", "new", "s", "alice", f.clock.Now().Truncate(time.Second), f.clock.Now().Add(time.Hour))
	mark := f.Mark() // a login begins at replica B; the API issues the token, the answer is on its way
	f.clock.advance(300 * time.Millisecond)
	cut := store.elsewhere(t, f.clock, id, revocation.ScopeSession) // a logout is acknowledged by replica A
	if err := f.Issued(t.Context(), id, mark); err != nil {         // B's feed is a moment later
		t.Fatal(err)
	}
	f.watch.sink.Changed([]revocation.Entry{cut}, nil, "1")
	if v, err := f.Check(t.Context(), id); v != revocation.RevokedSession {
		t.Errorf("%v %v", v, err)
	}
}

func TestLoginAfterALogoutHereIsGoodThoughTheFeedRepeatsIt(t *testing.T) {
	store := newFedStore()
	f := openFed(t, store)
	f.follow(t)
	old := revocation.NewIdentity("r", "old", "s", "alice", f.clock.Now().Truncate(time.Second), f.clock.Now().Add(time.Hour))
	cut, err := f.Revoke(t.Context(), old, revocation.ScopeSession) // the 200 is sent
	if err != nil {
		t.Fatal(err)
	}
	f.clock.advance(time.Millisecond)
	mark := f.Mark()                                        // then a login begins
	f.watch.sink.Changed([]revocation.Entry{cut}, nil, "1") // the feed tells the list of its own entry
	id := revocation.NewIdentity("r", "new", "s", "alice", f.clock.Now().Truncate(time.Second), f.clock.Now().Add(time.Hour))
	if err := f.Issued(t.Context(), id, mark); err != nil {
		t.Fatal(err)
	}
	if v, err := f.Check(t.Context(), id); v != revocation.Live {
		t.Errorf("%v %v", v, err)
	}
}
