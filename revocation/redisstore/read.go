package redisstore

import (
	"context"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

// maxKeys is how many keys one command reads.
const maxKeys = 512

// Lookup implements revocation.Store.
func (s *Store) Lookup(ctx context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	found := make([]revocation.Entry, len(keys))
	names := make([]string, 0, len(keys))
	places := make([]int, 0, len(keys)) // of each name, in keys
	for i, key := range keys {
		if !key.IsZero() {
			names = append(names, s.layout.entry(key))
			places = append(places, i)
		}
	}
	if len(names) == 0 {
		return found, s.usable(ctx)
	}
	results, err := s.do(ctx, s.timeout, func(ctx context.Context) []rueidis.RedisResult {
		return s.fromPrimary(ctx, false, s.readCommands(names)...)
	})
	if err != nil {
		return nil, s.failed("look up", err)
	}
	now, next := s.now(), 0
	err = eachValue(results, func(record string, stored bool) error {
		place := places[next]
		next++
		if !stored {
			return nil
		}
		e, err := decodeEntry(keys[place], record)
		if err == nil && e.Live(now) {
			found[place] = e
		}
		return err
	})
	if err != nil {
		return nil, s.failed("look up", err)
	}
	return found, nil
}

// readCommands returns commands that read names, in order. One command takes several,
// unless it is for a cluster, whose nodes take only those of one slot.
func (s *Store) readCommands(names []string) []rueidis.Completed {
	if s.cluster {
		commands := make([]rueidis.Completed, len(names))
		for i, name := range names {
			commands[i] = s.client.B().Get().Key(name).Build()
		}
		return commands
	}
	commands := make([]rueidis.Completed, 0, 1+len(names)/maxKeys)
	for len(names) > 0 {
		n := min(len(names), maxKeys)
		commands = append(commands, s.client.B().Mget().Key(names[:n]...).Build())
		names = names[n:]
	}
	return commands
}

// eachValue calls fn with every value in the results of GET and MGET, or with stored
// false in the place of one that does not exist.
func eachValue(results []rueidis.RedisResult, fn func(value string, stored bool) error) error {
	for _, r := range results {
		message, err := r.ToMessage()
		if rueidis.IsRedisNil(err) {
			err = fn("", false)
		}
		if err != nil {
			return err
		}
		values := []rueidis.RedisMessage{message}
		if message.IsArray() {
			if values, err = message.ToArray(); err != nil {
				return err
			}
		} else if message.IsNil() {
			continue
		}
		for _, v := range values {
			if v.IsNil() {
				err = fn("", false)
			} else if value, e := v.ToString(); e != nil {
				err = e
			} else {
				err = fn(value, true)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
