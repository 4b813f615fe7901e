// Package natsstore is a revocation.Store and a revocation.Feed kept in NATS JetStream.
//
// # What is guaranteed
//
// Durability: Revoke and Restore return nil once the bucket's stream has stored the
// message on a majority of its servers. That survives the end of any minority of the
// processes, and of all of them. A power loss is another matter: by default, servers
// sync their files to the disk every two minutes only (sync_interval). With one replica, one
// power loss can then take the last two minutes of acknowledged writes with it, so set
// "sync_interval: always". With three replicas, a server that lost its last writes is brought up
// to date by the others, and something is lost only if a majority of the servers lose
// power within those two minutes; keep them apart, or set "sync_interval: always".
//
// Reads: Lookup sees what any process's Revoke had acknowledged before. It asks the
// stream's leader, never a replica that may be behind. A leader that has been cut off,
// while the others elected another one, is not believed: an answer counts only if a
// write of this process was acknowledged less than 3 seconds before, and servers elect a
// new leader only 4 seconds after the last sign of the old one. This leaves one case: a
// leader that is cut off from some servers while this process can reach both sides, or
// that was suspended as a whole and goes on, may answer in the moment before it learns
// that it was replaced.
//
// Writes: an entry is merged with what is stored and written on condition that this is
// still what is stored. So the outcome does not depend on the order of writers, a write
// whose acknowledgement is lost can be repeated, and one that arrives late does nothing.
//
// Expiry: each message carries how long the servers keep it, which is until the entry
// expires and a minute longer. What has expired is not returned, by the clock of this
// process.
//
// Feed: Watch reads the stream in its order. Alive is called only after a message that was
// written by this process after the given time has come out of the stream, with nothing
// missing before it. A lost connection, and one that is silently dropped, end Watch
// within about 3 seconds.
//
// Failure: when the servers do not answer, or there is no majority of them, calls return an
// error; Options.Timeout bounds each exchange, of which Lookup has two. Nothing is kept to be written later. The connection is
// made anew for as long as the Store is open, and a server that keeps it up but does not
// answer is left for another one. Whoever cannot write to the bucket cannot read it
// either: Lookup writes about once a second, and Watch twice.
//
// Concurrency: all methods are safe for concurrent use. After Close, every call returns
// revocation.ErrClosed; writes that were accepted before are finished first.
//
// # The bucket
//
// It is a key-value bucket, with all that the usual tools do with one:
//
//	stream   KV_<bucket>, file storage, one message for each subject, discard new,
//	         messages with a TTL
//	entry    $KV.<bucket>.<revocation.Key in hexadecimal> -> see record
//	removal  the same subject, no data, KV-Operation: DEL
//	barrier  $KV.<bucket>.barrier, no data
//
// Deleting a key (nats kv del) restores what it revokes, and is reported by the feed.
// Keys of any other form are left alone.
//
// The servers have to be NATS 2.11 or newer. A user needs to publish to $KV.<bucket>.>,
// $JS.API.STREAM.INFO, .MSG.GET and $JS.API.CONSUMER.CREATE, .MSG.NEXT and .DELETE of the
// stream, and, where Open is to create the bucket, to $JS.API.INFO and
// $JS.API.STREAM.CREATE; and to subscribe to _INBOX.>.
package natsstore
