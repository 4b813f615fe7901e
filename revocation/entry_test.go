package revocation_test

import (
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func TestExpiryIsKeptToTheSecondAndNeverEarlier(t *testing.T) {
	for _, c := range []struct {
		expires time.Time
		want    uint32
	}{
		{time.Unix(1_900_000_000, 0), 1_900_000_000},
		{time.Unix(1_900_000_000, 1), 1_900_000_001},
		{time.Unix(1_900_000_000, 999_999_999).In(time.FixedZone("east", 3600)), 1_900_000_001},
		{time.Unix(0, 1), 1},
		{revocation.Forever, uint32(revocation.Forever.Unix())},
		// What Validate refuses is no expiry of 0, and none long ago.
		{time.Time{}, 1},
		{time.Unix(1<<33, 0), 1<<32 - 1},
	} {
		if got := (revocation.Entry{Expires: c.expires}).ExpirySecond(); got != c.want {
			t.Errorf("%s: got %d, want %d", c.expires, got, c.want)
		}
	}
}
