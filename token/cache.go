package token

import (
	lru "github.com/hashicorp/golang-lru/v2"
)

// cache keeps verified tokens by their whole text. A text that is found is byte for
// byte one that was verified.
type cache struct {
	shards []*lru.Cache[string, *Token]
	shift  uint
}

const (
	// shardBits gives 2^shardBits shards, each with a lock of its own. On two cores and
	// 10,000 tokens one shard took 340 ns, 16 took 144 ns and 64 took 140 ns.
	shardBits = 4
	// minShard is the least number of tokens for which a shard is worthwhile.
	minShard = 256
)

// newCache returns a cache for size tokens, or one that keeps none if size is negative.
func newCache(size int) (*cache, error) {
	if size < 0 {
		return &cache{}, nil
	}
	bits := shardBits
	for bits > 0 && size>>bits < minShard {
		bits--
	}
	n := 1 << bits
	c := &cache{shards: make([]*lru.Cache[string, *Token], n), shift: uint(32 - bits)}
	for i := range c.shards {
		shard, err := lru.New[string, *Token]((size + n - 1) / n)
		if err != nil {
			return nil, err
		}
		c.shards[i] = shard
	}
	return c, nil
}

// shard chooses by the end of the signature, which is as good as random. The very last
// character is left out: it may have bits that are always zero.
func (c *cache) shard(raw string) *lru.Cache[string, *Token] {
	if len(c.shards) == 0 || len(raw) < 5 {
		return nil
	}
	tail := raw[len(raw)-5:]
	n := uint32(tail[0]) | uint32(tail[1])<<8 | uint32(tail[2])<<16 | uint32(tail[3])<<24
	return c.shards[n*0x9E3779B1>>c.shift]
}

func (c *cache) get(raw string) (*Token, bool) {
	shard := c.shard(raw)
	if shard == nil {
		return nil, false
	}
	return shard.Get(raw)
}

func (c *cache) remove(raw string) {
	if shard := c.shard(raw); shard != nil {
		shard.Remove(raw)
	}
}

func (c *cache) add(raw string, t *Token) {
	if shard := c.shard(raw); shard != nil {
		shard.Add(raw, t)
	}
}
