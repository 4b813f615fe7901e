package caddymodule

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestLogoutsThatProveNothingAreLimitedHoweverManyAddressesThereAre(t *testing.T) {
	u := newUnprovenLimit()
	taken := func(n int, addr func(i int) netip.Addr) int {
		count := 0
		for i := range n {
			if u.allow(addr(i)) {
				count++
			}
		}
		return count
	}
	one := netip.MustParseAddr("192.0.2.1")
	if got := taken(100, func(int) netip.Addr { return one }); got < unprovenBurst || got > unprovenBurst+2 {
		t.Errorf("%d from one address, want %d", got, unprovenBurst)
	}
	// Each from another /64 of one /48.
	if got := taken(10_000, func(i int) netip.Addr { return address6(1, i) }); got < networkBurst || got > networkBurst+10 {
		t.Errorf("%d from one network, want %d", got, networkBurst)
	}
	// Each from another /48, more than are kept.
	if got := taken(50_000, func(i int) netip.Addr { return address6(2+i, 0) }); got > allBurst+100 {
		t.Errorf("%d from everywhere, want at most %d", got, allBurst)
	}
	if got := taken(100, func(int) netip.Addr { return netip.Addr{} }); got > unprovenBurst {
		t.Errorf("%d from no address", got)
	}
}

// address6 returns an address in the given /64 of the given /48.
func address6(network, subnet int) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint16(b[:], 0x2001)
	binary.BigEndian.PutUint32(b[2:], uint32(network))
	binary.BigEndian.PutUint16(b[6:], uint16(subnet))
	return netip.AddrFrom16(b)
}
