package redisstore

import (
	"context"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

// pageSize is how many keys a server is asked to look at in one step. It does nothing else
// meanwhile, for about two milliseconds.
const pageSize = 1000

// Scan implements revocation.Store. It asks every primary for all its keys, page by page,
// and holds one page in memory. An entry may be seen twice, if the server's table of keys
// grows or shrinks meanwhile. Any failure ends it, even one that would pass: only a
// server that has been there all the time can tell all entries.
func (s *Store) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	if !s.cluster {
		return s.scanServer(ctx, s.client, fn)
	}
	before, err := s.steadyOwners(ctx)
	if err != nil {
		return s.failed("scan", err)
	}
	for _, address := range before.distinct() {
		node, err := s.node(address)
		if err != nil {
			return s.failed("scan", err)
		}
		if err := s.scanServer(ctx, node, fn); err != nil {
			return err
		}
	}
	// An entry that was moved meanwhile may have been missed at both places.
	after, err := s.steadyOwners(ctx)
	if err == nil && after != before {
		err = ErrMoving
	}
	return s.failed("scan", err)
}

// scanServer scans one server by one connection. A cursor is good for nothing after a
// failover or a restart, but the connection does not survive these either.
func (s *Store) scanServer(ctx context.Context, server rueidis.Client, fn func(revocation.Entry) error) error {
	conn, err := s.dedicate(ctx, server)
	if err != nil {
		return s.failed("scan", err)
	}
	defer conn.Close()
	sc := scanner{store: s, conn: conn}
	for !sc.done {
		live, err := sc.next(ctx)
		if err != nil {
			return s.failed("scan", err)
		}
		for _, e := range live {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// dedicate returns a connection to a server for the caller alone.
func (s *Store) dedicate(ctx context.Context, server rueidis.Client) (rueidis.DedicatedClient, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.RUnlock()
	made := make(chan rueidis.DedicatedClient)
	go func() {
		conn, _ := server.Dedicate() // takes no context, but a dial of Options.Timeout at most
		select {
		case made <- conn:
		case <-ctx.Done():
			conn.Close()
		}
	}()
	select {
	case conn := <-made:
		return conn, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scanner is a scan of one server.
type scanner struct {
	store *Store
	conn  rueidis.DedicatedClient
	// names are the entries that the page before has named.
	names  []string
	cursor uint64
	last   bool // the page before was the last one
	done   bool
}

// next returns the live entries of a page, and has the server name those of the next
// one in the same round trip.
func (c *scanner) next(ctx context.Context) ([]revocation.Entry, error) {
	s := c.store
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.RUnlock()
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	results, err := s.attempt(limited, func(ctx context.Context) []rueidis.RedisResult {
		commands := s.readCommands(c.names)
		if !c.last {
			commands = append(commands, s.client.B().Scan().Cursor(c.cursor).Match(s.layout.pattern).Count(pageSize).Build())
		}
		return c.conn.DoMulti(ctx, commands...)
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, timeoutError(s.timeout, nil)
	case err != nil:
		return nil, err
	}
	c.done = c.last
	names := c.names
	if !c.last {
		scanned, err := results[len(results)-1].AsScanEntry()
		if err != nil {
			return nil, err
		}
		c.names, c.cursor, c.last = scanned.Elements, scanned.Cursor, scanned.Cursor == 0
		results = results[:len(results)-1]
		c.keepEntries()
		c.done = c.last && len(c.names) == 0
	}
	return s.liveEntries(names, results)
}

// keepEntries drops names that are not those of entries.
func (c *scanner) keepEntries() {
	kept := c.names[:0]
	for _, name := range c.names {
		if _, ok := c.store.layout.parse(name); ok {
			kept = append(kept, name)
		}
	}
	c.names = kept
}

// liveEntries returns the live ones of the entries that were read by their names.
func (s *Store) liveEntries(names []string, results []rueidis.RedisResult) ([]revocation.Entry, error) {
	now, next := s.now(), 0
	live := make([]revocation.Entry, 0, len(names))
	err := eachValue(results, func(record string, stored bool) error {
		key, _ := s.layout.parse(names[next])
		next++
		if !stored {
			return nil
		}
		e, err := decodeEntry(key, record)
		if err == nil && e.Live(now) {
			live = append(live, e)
		}
		return err
	})
	return live, err
}

// steadyOwners returns who has the partitions, or an error if some are being moved.
func (s *Store) steadyOwners(ctx context.Context) (owners, error) {
	if err := s.enter(ctx); err != nil {
		return owners{}, err
	}
	defer s.gate.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	o, err := s.clusterOwners(ctx)
	if err != nil {
		return o, err
	}
	for _, address := range o.distinct() {
		node, err := s.node(address)
		if err != nil {
			return o, err
		}
		nodes, err := node.Do(ctx, s.client.B().ClusterNodes().Build()).ToString()
		if err != nil {
			return o, err
		}
		if moving(nodes) {
			return o, ErrMoving
		}
	}
	return o, nil
}
