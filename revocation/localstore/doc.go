// Package localstore is the embedded revocation.Store: one file, no server.
//
// # What is guaranteed
//
// Durability: Revoke and Restore return nil once their transaction is on disk
// (two fdatasync: the pages, then the root that makes them count). Waiting callers
// share one transaction.
//
// Reads: Absent answers from memory. Lookup goes to the file only for a key that
// has an entry. What a Revoke has acknowledged, every later call sees.
//
// Concurrency: all methods are safe for concurrent use. Readers never wait for the
// disk syncs of a writer. One process at a time has the file open; Open says who
// else may have it.
//
// After Close: every call returns revocation.ErrClosed, and Absent false. Writes
// that were accepted before are finished first.
//
// Failure: a full disk, a failed write or sync, a page that cannot be read and an
// inconsistency in the file are errors to the caller, never the end of the process,
// and never a nil for something that is not on disk. Writing goes on when the disk
// has recovered. Only after a panic inside the storage engine are writes refused
// (ErrBroken) until the store is opened anew.
//
// A damaged or foreign file is refused by Open and left as it is, to the byte.
//
// # The file
//
// <dir>/revocations.db is a bbolt database with two buckets:
//
//	about    "application" -> "token_auth revocations"   "version" -> "1"
//	records  expiry, key   -> record                     sequence = number of records
//
//	key of a record                                      value: see encodeRecord
//	+----------------+---------------------------+
//	| expiry, uint32 | revocation.Key, 16 bytes  |
//	+----------------+---------------------------+
//
// Expiries are big-endian Unix seconds, rounded up, so records are ordered by
// expiry: new ones go near the right end, and purging takes whole pages off the
// left one, which later transactions reuse.
//
// # Crash argument
//
// bbolt is copy-on-write. A transaction N writes changed pages only to places that
// are free in the tree of N-1, syncs, then writes its root to the one of the two
// meta pages that does not hold the root of N-1, and syncs again. A crash before
// the root is on disk leaves N-1, a torn root fails its checksum and leaves N-1,
// and N is acknowledged only after the second sync. A new file is prepared under
// another name and linked to its own once it is on disk; the directory is synced
// before Open returns, so that the file itself cannot be lost.
//
// A failed sync is the difficult case, because Linux then counts the pages as
// clean: a later sync that succeeds says nothing about them.
//
//   - When the first sync of N failed, its root was never written. The next
//     transaction starts from N-1 again and rewrites every page that it refers to.
//   - When the second sync of N failed, the root of N may be in the page cache, where
//     bbolt reads it, and not on disk. The next transaction would overwrite pages
//     that only N-1 uses, and a power loss then leaves neither N-1 nor N. So before
//     any further write the root of N is written once more and synced (heal). Its
//     pages are on disk since the first sync. The root of N-1 is not touched: if the
//     power fails meanwhile, one of the two is intact, and nothing of either has
//     been overwritten.
//   - In the same case bbolt counts pages of N-1 as free although a reader that began
//     earlier may be on them, so healing waits for the readers that there are.
//
// The process that opens a file cannot know how the one before it ended: it may have
// been killed before its second sync, or after that had failed. So Open heals too.
//
// N was not acknowledged in any of these cases. Its entries may turn out to be
// stored, which the contract of Revoke allows.
//
// bbolt reads through a memory map. A page that the disk cannot deliver arrives as a
// fault and not as an error; every call into bbolt turns faults and panics into
// errors (guarded).
package localstore
