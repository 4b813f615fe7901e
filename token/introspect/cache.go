package introspect

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// verdict is what an answer of the server comes to.
type verdict struct {
	answer *Answer   // of an active token
	err    error     // wraps ErrInactive
	until  time.Time // when it is no longer used
}

// key stands for a token. Without the cache's secret nobody can tell for which.
type key [sha256.Size]byte

// cache keeps verdicts. Rejections are apart: whoever invents tokens can fill theirs,
// and no genuine token has to be asked about more often for it.
type cache struct {
	secret           []byte
	active, rejected *lru.Cache[key, verdict] // nil if nothing is kept
}

// newCache returns a cache for size verdicts of each kind, or for none if size is
// negative.
func newCache(size int) (*cache, error) {
	c := &cache{secret: make([]byte, sha256.Size)}
	if _, err := rand.Read(c.secret); err != nil {
		return nil, err
	}
	if size < 0 {
		return c, nil
	}
	var err error
	if c.active, err = lru.New[key, verdict](size); err != nil {
		return nil, err
	}
	c.rejected, err = lru.New[key, verdict](size)
	return c, err
}

func (c *cache) key(raw string) (k key) {
	mac := hmac.New(sha256.New, c.secret)
	_, _ = io.WriteString(mac, raw) // a hash does not fail
	mac.Sum(k[:0])
	return k
}

func (c *cache) get(k key, now time.Time) (verdict, bool) {
	if c.active == nil {
		return verdict{}, false
	}
	for _, verdicts := range []*lru.Cache[key, verdict]{c.active, c.rejected} {
		v, ok := verdicts.Get(k)
		switch {
		case ok && now.Before(v.until):
			return v, true
		case ok:
			verdicts.Remove(k)
		}
	}
	return verdict{}, false
}

// add puts v in the place of what was known before.
func (c *cache) add(k key, v verdict, now time.Time) {
	if c.active == nil {
		return
	}
	to, from := c.active, c.rejected
	if v.answer == nil {
		to, from = from, to
	}
	from.Remove(k)
	if now.Before(v.until) {
		to.Add(k, v)
	}
}
