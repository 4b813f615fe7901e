package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // EVALSHA names scripts by their SHA-1; nothing relies on it.
	_ "embed"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

//go:embed write.lua
var writeScript string

var writeScriptSHA = func() string {
	sum := sha1.Sum([]byte(writeScript)) //nolint:gosec // See the import.
	return hex.EncodeToString(sum[:])
}()

const (
	// maxChanges is how many entries one run of the script changes: the server does
	// nothing else meanwhile, and about 10 µs for each.
	maxChanges = 128
	// maxRuns is how many runs are sent together.
	maxRuns = 64
)

// Kinds of what the feed tells.
const (
	kindStored  = "e" // content: the record
	kindRemoved = "r" // content: the revocation.Key
	kindBegin   = "b" // the feed begins here
)

// change is a change of one entry.
type change struct {
	kind, content string
	expires       int64 // Unix seconds
	left          int64 // seconds until then
}

// run is one run of the script: changes in one partition.
type run struct {
	partition int
	names     []string
	changes   []change
}

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, entries ...revocation.Entry) error {
	for i := range entries {
		if err := entries[i].Validate(); err != nil {
			return err
		}
	}
	now := s.now()
	var b batch
	for _, e := range entries {
		if !e.Live(now) {
			continue
		}
		key, expires := e.Key(), int64(e.ExpirySecond())
		b.add(partitionOf(key), s.layout.entry(key), change{
			kind: kindStored, content: string(encodeRecord(e)), expires: expires, left: expires - now.Unix(),
		})
	}
	return s.write(ctx, "revoke", b.runs)
}

// Restore implements revocation.Store.
func (s *Store) Restore(ctx context.Context, keys ...revocation.Key) error {
	var b batch
	for _, key := range keys {
		b.add(partitionOf(key), s.layout.entry(key), change{kind: kindRemoved, content: string(key[:])})
	}
	return s.write(ctx, "restore", b.runs)
}

// batch divides changes into runs. Changes of one partition keep their order.
type batch struct {
	runs []run
	last [partitions]int // index of the partition's last run, plus one
}

func (b *batch) add(partition int, name string, c change) {
	last := b.last[partition] - 1
	if last < 0 || len(b.runs[last].changes) == maxChanges {
		last = len(b.runs)
		b.runs = append(b.runs, run{partition: partition})
		b.last[partition] = last + 1
	}
	r := &b.runs[last]
	r.names = append(r.names, name)
	r.changes = append(r.changes, c)
}

// write executes runs durably, as far as the server's settings make them so.
func (s *Store) write(ctx context.Context, what string, runs []run) error {
	if len(runs) == 0 {
		return s.usable(ctx)
	}
	for len(runs) > 0 {
		n := s.together(runs)
		if err := s.writeTogether(ctx, runs[:n]); err != nil {
			return s.failed(what, err)
		}
		runs = runs[n:]
	}
	return nil
}

// together returns how many of the first runs go in one exchange. To wait for
// replicas, they have to go to one server; in a cluster, that is one partition.
func (s *Store) together(runs []run) int {
	n := min(len(runs), maxRuns)
	if s.wait.Replicas > 0 && s.cluster {
		for i := range n {
			if runs[i].partition != runs[0].partition {
				return i
			}
		}
	}
	return n
}

func (s *Store) writeTogether(ctx context.Context, runs []run) error {
	if s.wait.Replicas == 0 {
		_, err := s.do(ctx, s.timeout, func(ctx context.Context) []rueidis.RedisResult {
			return s.execute(ctx, s.client, runs, 0)
		})
		return err
	}
	results, err := s.do(ctx, s.timeout+s.wait.Timeout, func(ctx context.Context) []rueidis.RedisResult {
		// WAIT is about what the same connection has written before. So the write must
		// not be redirected away from it, as the client of a cluster would.
		node, err := s.primary(ctx, runs[0].partition)
		if err != nil {
			return []rueidis.RedisResult{rueidis.NewErrorResult(err)}
		}
		results := s.execute(ctx, node, runs, s.wait.Replicas)
		if failure(results) != nil {
			s.forgetOwners()
		}
		return results
	})
	if err != nil {
		return err
	}
	have, err := results[len(results)-1].AsInt64()
	if err != nil {
		return err
	}
	if have < int64(s.wait.Replicas) {
		return fmt.Errorf("%w: %d of %d after %s", ErrNotReplicated, have, s.wait.Replicas, s.wait.Timeout)
	}
	return nil
}

// execute runs the script once for each run, and then waits for replicas if there are to
// be some. Then client has to be that of one server, and one connection does it all.
//
// The script writes to the feed even where an entry is as it should be already: after
// a connection that has written nothing, WAIT would not wait.
func (s *Store) execute(ctx context.Context, client rueidis.Client, runs []run, replicas int) []rueidis.RedisResult {
	nonce := newNonce()
	results := client.DoMulti(ctx, s.scriptCommands(nonce, runs, replicas, "EVALSHA", writeScriptSHA)...)
	for _, r := range results {
		if replyWord(r.Error()) == replyNoScript {
			// The server was restarted or is another one. It learns the script by running it.
			return client.DoMulti(ctx, s.scriptCommands(nonce, runs, replicas, "EVAL", writeScript)...)
		}
	}
	return results
}

func (s *Store) scriptCommands(nonce string, runs []run, replicas int, command, script string) []rueidis.Completed {
	commands := make([]rueidis.Completed, 0, len(runs)+1)
	for _, r := range runs {
		commands = append(commands, s.client.B().Arbitrary(command, script, strconv.Itoa(1+len(r.names))).
			Keys(s.layout.feeds[r.partition]).Keys(r.names...).Args(s.scriptArgs(nonce, r.changes)...).Build())
	}
	if replicas > 0 {
		commands = append(commands, s.client.B().Wait().
			Numreplicas(int64(replicas)).Timeout(s.wait.Timeout.Milliseconds()).Build())
	}
	return commands
}

// scriptArgs returns the ARGV of write.lua.
func (s *Store) scriptArgs(nonce string, changes []change) []string {
	args := make([]string, 0, 2+4*len(changes))
	args = append(args, s.feedLength, nonce)
	for _, c := range changes {
		args = append(args, c.kind, c.content, strconv.FormatInt(c.expires, 10), strconv.FormatInt(c.left, 10))
	}
	return args
}

// nonceLength is the length in bytes of the number that tells a change from every
// other, even from one with the same id in the feed of another server.
const nonceLength = 8

func newNonce() string {
	var b [nonceLength]byte
	rand.Read(b[:]) // never fails
	return string(b[:])
}
