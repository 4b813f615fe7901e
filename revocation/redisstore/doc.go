// Package redisstore is a revocation.Store and a revocation.Feed in Redis (6.2 or later) or
// Valkey (7.2 or later): one server, a primary with replicas and Sentinels, or a cluster.
//
// # What is guaranteed
//
// Durability: Revoke and Restore return nil once the primary has executed them, and
// what that is worth is decided by the servers' settings:
//
//   - appendonly off: the write is in memory. A restart forgets what was written since
//     the last snapshot, if snapshots are made at all.
//   - appendfsync everysec, the default of appendonly: the write survives the end of
//     the server's process. A power failure loses up to a second or two of them.
//   - appendfsync always: the write is on disk before it is acknowledged.
//   - Replication is asynchronous. When a primary fails and a replica takes over, the
//     last acknowledged writes may be gone, whatever the primary had on its disk.
//   - With Options.Wait a write is acknowledged once so many replicas have it, in
//     memory. A failover then loses it only if the replica that takes over is none of
//     these. Sentinels take the one that has most of those that they reach, and so do
//     clusters, as a rule: Redis calls WAIT an improvement and no guarantee. A write
//     that too few replicas have is an error (ErrNotReplicated), although it is stored.
//   - A server that evicts keys when its memory is full loses what it evicts: the
//     policy has to be noeviction. Then it refuses writes.
//
// Open warns of settings that make less of this than they could.
//
// Merging is done by a script on the server, in one step with the feed. Two writers get
// the result of revocation.Merge in any order. A write that failed, because no answer
// came, may have been executed, or may be yet: it can be repeated any number of times.
//
// Reads are answered by primaries only. What was acknowledged by the same primary is
// always found. A primary that others have replaced, and that does not know it yet,
// answers with what it had; Watch says for how long that may be.
//
// Concurrency: all methods are safe for concurrent use. No call lasts longer than
// Options.Timeout (a write, Wait.Timeout more; Scan, that for each page), nor past the
// end of its context. Close waits for the calls that are under way.
//
// Failure: what may pass by itself is tried again within the time limit: a lost
// connection, a server that loads its data, a failover, a slot on its way. Everything
// else is an error at once: a full memory or disk, missing replicas, missing
// permissions. Lost connections are made anew when they are needed; the Store is never
// to be opened anew. A record that cannot be what was written is an error to whoever
// asks for it.
//
// After Close every call returns an error that wraps revocation.ErrClosed.
//
// # Clocks
//
// An entry that has expired by Options.Now is not returned. The servers forget an entry
// when it has expired both by their own clock and by that of its writer, so that no
// single clock that is fast makes a revocation forgotten.
//
// # The feed
//
// Each partition of the list has a stream, to which the script adds what it does. Streams
// are cut to Options.FeedLength. A Position names the last change read in each, by
// its id and by a random number that the change was given: an id alone may name another
// change after a failover. See Watch for when a gap is reported.
//
// # What is stored
//
// All keys begin with Options.KeyPrefix and the hash tag of their partition, so a list can
// be copied from one server to a cluster by copying its keys. Nothing that could be
// presented as a credential is among them. The entry of a token whose identifier and
// issuer have 60 bytes takes about 225 bytes of the server's memory, and each change that
// a stream keeps about 120.
//
// # Permissions
//
// A server's user for this package:
//
//	ACL SETUSER caddy on >password ~token_auth:*
//	    +hello +auth +ping +select
//	    +get +mget +set +del +exists +pttl +time +scan +wait
//	    +eval +evalsha +xadd +xread +xrange +xrevrange
//	    +info +config|get +role +asking
//	    +cluster|slots +cluster|shards +cluster|nodes
//
// config|get is for warnings alone, role for use with Sentinels, and asking and
// cluster for use in a cluster. A Sentinel's:
//
//	ACL SETUSER caddy on >password
//	    &+switch-master &+sentinel &+reboot &+slave &+sdown &-sdown
//	    +hello +auth +ping +subscribe +unsubscribe
//	    +sentinel|get-master-addr-by-name +sentinel|sentinels
//
// # Clusters
//
// The list is in 16 slots. While the cluster moves one of them key by key, writes to it
// fail from the first moved key to the last (TRYAGAIN), or wait if that takes less than
// Options.Timeout; reads and the feed go on, and Scan refuses (ErrMoving).
package redisstore
