package redisstore

import (
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// With a clock of its own, the server's clock is months ahead: what must be kept by
// the list's clock is kept all the same.
func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		_, o := sharedServer(t)
		clock := storetest.NewClock()
		o.Now = clock.Now
		return storetest.Subject{
			Store: open(t, o), Now: clock.Now, Advance: clock.Advance,
			Reopen: func(t *testing.T) revocation.Store { return open(t, o) },
		}
	})
}

func TestFeedContract(t *testing.T) {
	t.Parallel()
	storetest.RunFeed(t, func(t *testing.T) storetest.FeedSubject {
		server, o := sharedServer(t)
		o.blockFor = 200 * time.Millisecond
		return storetest.FeedSubject{
			Stores: []revocation.Store{open(t, o), open(t, o)},
			Forget: func(*testing.T) {
				for _, feed := range newLayout(o.KeyPrefix).feeds {
					server.call("DEL", feed)
				}
			},
		}
	})
}
