package revocation

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// DefaultCacheSize is how many verdicts are cached unless configured.
const DefaultCacheSize = 100_000

// cacheShards divides the verdict cache, because one LRU is one mutex.
const cacheShards = 16

// MinCacheSize is the smallest cache: one verdict in each shard.
const MinCacheSize = cacheShards

// cachedVerdict is good while the slots of its identity have these numbers.
type cachedVerdict struct {
	verdict Verdict
	numbers slotNumbers
}

// verdictCache is an LRU from an identity to its last verdict.
type verdictCache struct {
	shards [cacheShards]*lru.Cache[Key, cachedVerdict]
}

func newVerdictCache(size int) (*verdictCache, error) {
	if size < MinCacheSize {
		return nil, fmt.Errorf("cache size %d: want at least %d", size, MinCacheSize)
	}
	c := new(verdictCache)
	for i := range c.shards {
		shard, err := lru.New[Key, cachedVerdict]((size + cacheShards - 1) / cacheShards)
		if err != nil {
			return nil, err
		}
		c.shards[i] = shard
	}
	return c, nil
}

// shard picks by a byte that slotOf does not use.
func (c *verdictCache) shard(id *Identity) *lru.Cache[Key, cachedVerdict] {
	return c.shards[id.cacheKey[2]%cacheShards]
}

func (c *verdictCache) get(id *Identity) (cachedVerdict, bool) {
	return c.shard(id).Get(id.cacheKey)
}

func (c *verdictCache) add(id *Identity, v cachedVerdict) {
	c.shard(id).Add(id.cacheKey, v)
}

func (c *verdictCache) resize(size int) {
	for _, shard := range c.shards {
		shard.Resize((size + cacheShards - 1) / cacheShards)
	}
}
