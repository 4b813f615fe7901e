package revocation

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"slices"
)

// Scan calls fn for every live entry of the store, as Store.Scan does. An entry may be told
// twice.
func (l *List) Scan(ctx context.Context, fn func(Entry) error) error {
	if l.retention.Load() == nil {
		return ErrClosed
	}
	if err := l.store.Scan(ctx, fn); err != nil {
		return fmt.Errorf("scan the entries: %w", err)
	}
	return nil
}

// Page returns the live entries that match, in the order of their Keys: at most limit of
// those whose Key is greater than after, and whether there are more. Who reads page after
// page, each after the last Key of the one before, meets every entry that was there
// throughout, once. It reads all entries of the store and keeps limit of them.
func (l *List) Page(ctx context.Context, after Key, limit int, match func(Entry) bool) (page []Entry, more bool, err error) {
	if limit < 1 {
		return nil, false, fmt.Errorf("page of %d entries: want at least 1", limit)
	}
	var least leastEntries
	kept := make(map[Key]bool)
	err = l.Scan(ctx, func(e Entry) error {
		key := e.Key()
		if compareKeys(key, after) <= 0 || !match(e) || kept[key] {
			return nil
		}
		// One more than the page tells whether there are more.
		if len(least) > limit {
			if compareKeys(key, least[0].key) >= 0 {
				return nil
			}
			delete(kept, least[0].key)
			heap.Pop(&least)
		}
		heap.Push(&least, keyedEntry{key, e})
		kept[key] = true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(least, func(a, b keyedEntry) int { return compareKeys(a.key, b.key) })
	if more = len(least) > limit; more {
		least = least[:limit]
	}
	page = make([]Entry, len(least))
	for i := range least {
		page[i] = least[i].entry
	}
	return page, more, nil
}

func compareKeys(a, b Key) int { return bytes.Compare(a[:], b[:]) }

type keyedEntry struct {
	key   Key
	entry Entry
}

// leastEntries is a heap with the greatest Key on top.
type leastEntries []keyedEntry

func (h leastEntries) Len() int           { return len(h) }
func (h leastEntries) Less(i, j int) bool { return compareKeys(h[i].key, h[j].key) > 0 }
func (h leastEntries) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *leastEntries) Push(x any) { *h = append(*h, x.(keyedEntry)) }

// Pop implements heap.Interface.
func (h *leastEntries) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// Rotated reports whether e says that a token was exchanged for a newer one, and not that
// it was revoked.
func (e Entry) Rotated() bool { return e.isRotation() }

// Owner returns whose token an entry with ScopeKnown is about. Either may be empty; both
// are for another entry, or one that is damaged.
func (e Entry) Owner() (session, client string) {
	if e.Scope != ScopeKnown {
		return "", ""
	}
	id, err := identityOf(e)
	if err != nil {
		return "", ""
	}
	return id.session, id.client
}
