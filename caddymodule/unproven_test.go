package caddymodule

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

const unprovenWeek = 7 * 24 * time.Hour

// frozen is a clock that a test moves.
type frozen struct{ at time.Time }

func (f *frozen) now() time.Time { return f.at }

// flooded returns a limit for so many records after a flood from addresses which send as
// many logouts as they may, for so long.
func flooded(records, addresses int, from func(i int) netip.Addr, lasting time.Duration) (u *unprovenLimit, clock *frozen, taken int) {
	clock = &frozen{time.Unix(1_800_000_000, 0)}
	u = newUnprovenLimit(records, clock.now)
	for end := clock.at.Add(lasting); !clock.at.After(end); clock.at = clock.at.Add(time.Minute) {
		for i := range addresses {
			for u.allow(from(i), unprovenWeek) {
				taken++
			}
		}
	}
	return u, clock, taken
}

func TestOneAddressHasFewLogoutsThatProveNothingAtOnce(t *testing.T) {
	clock := &frozen{time.Unix(1_800_000_000, 0)}
	u := newUnprovenLimit(unprovenRecords, clock.now)
	for what, addr := range map[string]func(i int) netip.Addr{
		"address":    func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
		"/64":        func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}) },
		"no address": func(int) netip.Addr { return netip.Addr{} },
	} {
		taken := 0
		for i := range 100 {
			if u.allow(addr(i), unprovenWeek) {
				taken++
			}
		}
		if taken != unprovenBurst {
			t.Errorf("%d of one %s, want %d", taken, what, unprovenBurst)
		}
		clock.at = clock.at.Add(3 * time.Second)
		for i := range 3 {
			if !u.allow(addr(i), unprovenWeek) {
				t.Errorf("%s: refused 3 s later", what)
			}
		}
	}
}

// TestFloodOfLogoutsThatProveNothingLeavesRoomForOthers has attackers take all that they can
// get, for hours. Nobody else is refused for it, not even in their own network.
func TestFloodOfLogoutsThatProveNothingLeavesRoomForOthers(t *testing.T) {
	const records = unprovenRecords
	for _, tt := range []struct {
		what      string
		addresses int
		from      func(i int) netip.Addr
		beside    netip.Addr // another address of a network of theirs
	}{
		{"one address", 1, address4, netip.MustParseAddr("10.0.0.200")},
		{"65 addresses", 65, address4, netip.MustParseAddr("10.0.5.200")},
		{"250 addresses of one /24", 250, func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 8, byte(i)}) }, netip.MustParseAddr("10.9.8.254")},
		{"1,000 addresses", 1000, address4, netip.MustParseAddr("10.0.5.200")},
		{"250 /64 of one /48", 250, func(i int) netip.Addr { return address6(1, i) }, address6(1, 60_000)},
		{"1,000 /48", 1000, func(i int) netip.Addr { return address6(1+i, 0) }, address6(1, 60_000)},
		{"10,000 addresses", 10_000, address4, netip.MustParseAddr("10.0.5.200")},
	} {
		t.Run(tt.what, func(t *testing.T) {
			u, _, taken := flooded(records, tt.addresses, tt.from, 3*time.Hour)
			if taken > records*5/4 { // some are given back meanwhile
				t.Errorf("%d records of %d", taken, records)
			}
			if !u.allow(tt.beside, unprovenWeek) {
				t.Error("another address of their network is refused")
			}
			others := 0
			for i := range 1000 {
				if u.allow(netip.AddrFrom4([4]byte{198, byte(i >> 8), byte(i), 1}), unprovenWeek) {
					others++
				}
			}
			t.Logf("%d records of the attackers; then %d of 1000 others are taken", taken, others)
			if others != 1000 {
				t.Errorf("%d of 1000 others are taken", others)
			}
		})
	}
}

// address4 returns the i-th of many addresses, each in a /24 of its own.
func address4(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 7}) }

// However long it goes on, and however many addresses take part, there are never more
// records than twice the bound within the time that each is kept.
func TestRecordsOfLogoutsThatProveNothingAreBounded(t *testing.T) {
	const records = 1000
	clock := &frozen{time.Unix(1_800_000_000, 0)}
	u := newUnprovenLimit(records, clock.now)
	var made []time.Time
	for hour := range 3 * 7 * 24 {
		clock.at = clock.at.Add(time.Hour)
		for i := range 2000 { // twice as many networks as there is room for
			if u.allow(address4(hour*7+i), unprovenWeek) {
				made = append(made, clock.at)
			}
		}
		for len(made) > 0 && clock.at.Sub(made[0]) >= unprovenWeek {
			made = made[1:]
		}
		if len(made) > 2*records {
			t.Fatalf("%d records after %d hours", len(made), hour)
		}
	}
	if len(made) < records/2 {
		t.Errorf("%d records at the end: the room is not given back", len(made))
	}
}

// What is refused makes the limit forget nobody, and who is told apart is bounded.
func TestWhoSendsLogoutsThatProveNothingIsNotForgottenForOthers(t *testing.T) {
	u, _, _ := flooded(1000, 1, address4, time.Hour)
	for i := range 3 * unprovenKept {
		u.allow(address6(i, 0), unprovenWeek)
	}
	if u.addresses.Len() > 1000 || u.networks.Len() > 1000 {
		t.Errorf("%d addresses and %d networks for 1000 records", u.addresses.Len(), u.networks.Len())
	}
	if u.allow(address4(0), unprovenWeek) {
		t.Error("the first is taken again")
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
