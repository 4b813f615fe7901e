package natsstore

import (
	"context"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// environments are what the contracts are tested on.
var environments = map[string]struct {
	replicas int
	urls     func(t testing.TB) []string
}{
	"single":  {1, func(t testing.TB) []string { return []string{singleServer(t).ClientURL()} }},
	"cluster": {3, func(t testing.TB) []string { return sharedCluster(t).urls() }},
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, env := range environments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Subject {
				clock := storetest.NewClock()
				opts := Options{URLs: env.urls(t), Bucket: newBucket(), Replicas: env.replicas, Now: clock.Now}
				dropBucket(t, open(t, opts))
				return storetest.Subject{
					Store:   open(t, opts),
					Now:     clock.Now,
					Advance: clock.Advance,
					Reopen:  func(t *testing.T) revocation.Store { return open(t, opts) },
				}
			})
		})
	}
}

func TestFeedContract(t *testing.T) {
	t.Parallel()
	for name, env := range environments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunFeed(t, func(t *testing.T) storetest.FeedSubject {
				opts := Options{URLs: env.urls(t), Bucket: newBucket(), Replicas: env.replicas}
				other := open(t, opts)
				dropBucket(t, other)
				return storetest.FeedSubject{
					Stores: []revocation.Store{open(t, opts), open(t, opts)},
					Forget: func(t *testing.T) {
						if err := other.js.DeleteStream(context.Background(), other.layout.stream); err != nil {
							t.Fatal(err)
						}
						open(t, opts)
					},
				}
			})
		})
	}
}

// By the servers' own clock, and not before the entry has expired by ours.
func TestExpiredMessagesGo(t *testing.T) {
	t.Parallel()
	opts := Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket(), hooks: hooks{slack: time.Second}}
	s := open(t, opts)
	dropBucket(t, s)
	brief, lasting := token(1), token(2)
	brief.Expires = time.Now().Add(time.Second)
	mustRevoke(t, s, brief, lasting)
	await(t, "removal of the expired message", func() bool {
		v, err := s.last(context.Background(), brief.Key())
		if err != nil {
			t.Fatal(err)
		}
		return v.sequence == 0
	})
	if now := time.Now(); now.Before(brief.Expires) {
		t.Fatalf("the message is gone at %s, but the entry lives until %s", now, brief.Expires)
	}
	mustHold(t, s, lasting)
}
