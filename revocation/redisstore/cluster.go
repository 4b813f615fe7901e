package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// slots are the hash slots of the partitions' tags.
var slots = [partitions]int64{247, 1584, 2369, 3937, 4310, 5649, 6496, 8000, 8373, 9842, 10499, 12067, 12436, 13907, 14626, 16130}

// owners are the addresses of the primaries that have the partitions.
type owners [partitions]string

// primary returns a client for the one server that has a partition. It does not follow
// redirections. When the server sends any, forgetOwners makes it look again.
func (s *Store) primary(ctx context.Context, partition int) (rueidis.Client, error) {
	if !s.cluster {
		return s.client, nil
	}
	known := s.owners.Load()
	if known == nil {
		o, err := s.clusterOwners(ctx)
		if err != nil {
			return nil, err
		}
		known = &o
		s.owners.Store(known)
	}
	return s.node(known[partition])
}

// forgetOwners is called when the owner of a partition did not do what it was asked.
func (s *Store) forgetOwners() { s.owners.Store(nil) }

// node returns a client for one node of the cluster.
func (s *Store) node(address string) (rueidis.Client, error) {
	client, ok := s.client.Nodes()[address]
	if !ok {
		return nil, fmt.Errorf("node %s of the cluster is not known yet", address)
	}
	return client, nil
}

// clusterOwners asks any node who has the partitions.
func (s *Store) clusterOwners(ctx context.Context) (owners, error) {
	err := errors.New("no node is known")
	for address, node := range s.client.Nodes() {
		var message rueidis.RedisMessage
		if message, err = node.Do(ctx, s.client.B().ClusterSlots().Build()).ToMessage(); err != nil {
			continue
		}
		var o owners
		if o, err = parseSlots(message, address); err == nil {
			return o, nil
		}
	}
	return owners{}, err
}

// parseSlots returns the owners that CLUSTER SLOTS, answered by the node with the given
// address, names.
func parseSlots(message rueidis.RedisMessage, address string) (o owners, err error) {
	ranges, err := message.ToArray()
	if err != nil {
		return o, err
	}
	for _, r := range ranges {
		fields, err := r.ToArray()
		if err != nil || len(fields) < 3 {
			return o, errors.Join(errSlots, err)
		}
		first, err1 := fields[0].AsInt64()
		last, err2 := fields[1].AsInt64()
		node, err3 := fields[2].ToArray()
		if err := errors.Join(err1, err2, err3); err != nil || len(node) < 2 {
			return o, errors.Join(errSlots, err)
		}
		port, err := node[1].AsInt64()
		if err != nil {
			return o, errors.Join(errSlots, err)
		}
		// A node that does not know its own address leaves it out.
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return o, err
		}
		if name, err := node[0].ToString(); err == nil && name != "" {
			host = name
		}
		for p, slot := range slots {
			if first <= slot && slot <= last {
				o[p] = net.JoinHostPort(host, strconv.FormatInt(port, 10))
			}
		}
	}
	if i := slices.Index(o[:], ""); i >= 0 {
		return o, fmt.Errorf("slot %d of the cluster has no node", slots[i])
	}
	return o, nil
}

var errSlots = errors.New("the cluster's slots cannot be told from the answer")

// moving reports whether a node is moving a slot of ours, from what CLUSTER NODES says
// of the node itself: after its slots there is [<slot>-<-<from>] or [<slot>->-<to>].
func moving(nodes string) bool {
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.Contains(fields[2], "myself") {
			continue
		}
		for _, field := range fields[8:] {
			number, ok := strings.CutPrefix(field, "[")
			if !ok {
				continue
			}
			number, _, _ = strings.Cut(number, "-")
			if slot, err := strconv.ParseInt(number, 10, 64); err == nil && slices.Contains(slots[:], slot) {
				return true
			}
		}
	}
	return false
}

// distinct returns each address once.
func (o *owners) distinct() []string {
	addresses := slices.Clone(o[:])
	slices.Sort(addresses)
	return slices.Compact(addresses)
}
