package index

import (
	"math/bits"
	"sync/atomic"
)

// filterBits is how many bits of the word of a hash are set for it.
const filterBits = 3

// filter is a Bloom filter of a table's hashes, with all the bits of a hash in one word.
// With a byte for each home, some 3 % of the keys that are not there are not told apart.
//
// It is small enough to stay in the processor's caches where the table does not, and it
// is read without a lock, so that the memory for one key is fetched while that for
// another is still on its way.
//
// Bits are only ever set. What is removed stays until the table has a new filter.
type filter struct {
	words []uint64 // of a filter that others can see, by atomic operations alone
}

func newFilter(homes uint32) *filter {
	return &filter{words: make([]uint64, homes/8+1)}
}

// place returns the word of h and the bits that stand for it.
func (f *filter) place(h uint64) (word *uint64, mask uint64) {
	high, _ := bits.Mul64(h<<shardBits, uint64(len(f.words)))
	for range filterBits {
		mask |= 1 << (h & 63)
		h >>= 6
	}
	return &f.words[high], mask
}

// set adds h to a filter that nobody else can see yet.
func (f *filter) set(h uint64) {
	word, mask := f.place(h)
	*word |= mask
}

// add adds h to a filter that others may be reading.
func (f *filter) add(h uint64) {
	word, mask := f.place(h)
	atomic.StoreUint64(word, *word|mask)
}

// mayContain reports false if h was certainly not added. A nil filter has nothing.
func (f *filter) mayContain(h uint64) bool {
	if f == nil {
		return false
	}
	word, mask := f.place(h)
	return atomic.LoadUint64(word)&mask == mask
}
