package revocation

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// DefaultCacheSize is how many verdicts are cached unless configured.
const DefaultCacheSize = 100_000

// cacheShards divides a cache, because one LRU is one mutex.
const cacheShards = 16

// MinCacheSize is the smallest cache: one verdict in each shard.
const MinCacheSize = cacheShards

// cachedVerdict is good while the slots of its identity have these numbers.
type cachedVerdict struct {
	verdict Verdict
	numbers slotNumbers
}

// cachedIssuance is good while the slot of its key has this number.
type cachedIssuance struct {
	identity *Identity // nil: not known
	number   uint64
}

// shardedCache is an LRU by Key.
type shardedCache[V any] struct {
	shards [cacheShards]*lru.Cache[Key, V]
}

func newCache[V any](size int) (*shardedCache[V], error) {
	if size < MinCacheSize {
		return nil, fmt.Errorf("cache size %d: want at least %d", size, MinCacheSize)
	}
	c := new(shardedCache[V])
	for i := range c.shards {
		shard, err := lru.New[Key, V](shardSize(size))
		if err != nil {
			return nil, err
		}
		c.shards[i] = shard
	}
	return c, nil
}

func shardSize(size int) int { return (size + cacheShards - 1) / cacheShards }

// shard picks by a byte that slotOf does not use.
func (c *shardedCache[V]) shard(k Key) *lru.Cache[Key, V] { return c.shards[k[2]%cacheShards] }

func (c *shardedCache[V]) get(k Key) (V, bool) { return c.shard(k).Get(k) }

func (c *shardedCache[V]) add(k Key, v V) { c.shard(k).Add(k, v) }

func (c *shardedCache[V]) resize(size int) {
	for _, shard := range c.shards {
		shard.Resize(shardSize(size))
	}
}
