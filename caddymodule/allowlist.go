package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// allowList holds, for each client that has one, the address ranges that it may
// call from. A client without an entry may call from anywhere. It is immutable.
type allowList map[string][]netip.Prefix

// maxAllowListFile bounds the file of an allow-list: about a million lines.
const maxAllowListFile = 64 << 20

// newAllowList returns the allow-list of the configuration itself.
func newAllowList(clients map[string][]string) (allowList, error) {
	list := make(allowList, len(clients))
	for client, ranges := range clients {
		if client == "" || len(ranges) == 0 {
			return nil, fmt.Errorf("client %q has no name or no address range", client)
		}
		for _, cidr := range ranges {
			if err := list.add(client, cidr); err != nil {
				return nil, fmt.Errorf("client %q: %w", client, err)
			}
		}
	}
	return list, nil
}

// add gives client one more range: CIDR, or a single address.
func (l allowList) add(client, cidr string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		addr, addrErr := netip.ParseAddr(cidr)
		if addrErr != nil || addr.Zone() != "" {
			return fmt.Errorf("%q is neither an address range (CIDR) nor an address", cidr)
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%s has bits set beyond its length: write %s", cidr, prefix.Masked())
	}
	if prefix.Addr().Is4In6() {
		return fmt.Errorf("%s: write an IPv4-mapped range as IPv4", cidr)
	}
	l[client] = append(l[client], prefix)
	return nil
}

// addAll adds what other has.
func (l allowList) addAll(other allowList) {
	for client, prefixes := range other {
		l[client] = append(l[client], prefixes...)
	}
}

// allows reports whether client may call from addr.
func (l allowList) allows(client string, addr netip.Addr) bool {
	prefixes, limited := l[client]
	if !limited {
		return true
	}
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// clientAddr returns the address that Caddy takes the client to have: that of the
// connection, or what trusted proxies say. The zero Addr is in no range.
func clientAddr(r *http.Request) netip.Addr { return clientAddrIn(r.Context()) }

// clientAddrIn is clientAddr for the context of a request. In any other it is the zero Addr.
func clientAddrIn(ctx context.Context) netip.Addr {
	text, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// ownNetwork returns what one party is given at the least: one address of version 4, a /64
// of version 6. That of the zero Addr is the zero Prefix.
func ownNetwork(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// readAllowList reads an allow-list from a file. Each line is a client and one or
// more ranges, separated by white space; # begins a comment.
func readAllowList(name string) (allowList, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxAllowListFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(content) > maxAllowListFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxAllowListFile)
	}
	list, err := parseAllowList(content)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	return list, nil
}

// parseAllowList returns errors that begin with the line number.
func parseAllowList(content []byte) (allowList, error) {
	list := make(allowList)
	lines := bufio.NewScanner(bytes.NewReader(content))
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		switch len(fields) {
		case 0:
			continue
		case 1:
			return nil, fmt.Errorf("%d: client %q has no address range", n, fields[0])
		}
		for _, cidr := range fields[1:] {
			if err := list.add(fields[0], cidr); err != nil {
				return nil, fmt.Errorf("%d: %w", n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%d: %w", n+1, err)
	}
	return list, nil
}
