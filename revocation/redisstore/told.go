package redisstore

import (
	"fmt"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

// told is one change in a feed.
type told struct {
	place   place
	kind    string
	stored  revocation.Entry // kindStored
	removed revocation.Key   // kindRemoved
}

func (t told) partition() int {
	if t.kind == kindStored {
		return partitionOf(t.stored.Key())
	}
	return partitionOf(t.removed)
}

// parseTold reads what write.lua has written to a feed: one field, which is the kind,
// the nonce and the content.
func parseTold(x rueidis.XRangeEntry) (t told, err error) {
	if err := t.place.setID(x.ID); err != nil {
		return t, err
	}
	text := x.FieldValues["c"]
	if len(text) < 1+nonceLength {
		return t, fmt.Errorf("change %s in the feed: %w", x.ID, errDamaged)
	}
	copy(t.place.nonce[:], text[1:])
	t.kind = text[:1]
	content := text[1+nonceLength:]
	switch {
	case t.kind == kindStored:
		t.stored, err = decodeRecord(content)
	case t.kind == kindRemoved && len(content) == len(t.removed):
		copy(t.removed[:], content)
	case t.kind == kindBegin:
	default:
		err = errDamaged
	}
	if err != nil {
		return t, fmt.Errorf("change %s in the feed: %w", x.ID, err)
	}
	return t, nil
}
