// Package index remembers, in memory, which keys a store holds records for and
// when each of them expires: enough to say "certainly not there" without I/O, and
// to find the record on disk where there may be one.
//
// # What is guaranteed
//
// Never a false "no": after Add(key, expiry) has returned, and until as many calls
// of Remove(key, expiry), MayContain(key) is true and Candidates(key) has expiry.
// A false "yes" is possible, when two keys share a 64-bit hash; the caller's record
// decides. The hash is seeded at random for each Index, so that nobody who chooses
// identifiers can aim for such a collision or for crowded slots.
//
// Memory: 13 bytes for a slot and its part of the filter; 84 to 88 % of the slots are in
// use once there are some thousand entries. Removing entries gives memory back.
//
// Concurrency: all methods are safe for concurrent use. An Index is 256 independent
// shards, each with its own lock, so that growing one holds up a 256th of the calls
// and for a 256th of the time. MayContain takes no lock for some 97 % of the keys that
// are not there.
//
// # Layout
//
// A shard has a filter (see there), which is asked first, and which says of most keys that
// are not there that they are not. What it lets pass is looked for in one slice of slots, sorted by hash, with empty slots in between:
//
//	home of hash h = h * n / 2^56       n = slots that are some hash's home
//
//	 0        1        2        3        4             n-1        n    n+tail-1
//	+--------+--------+--------+--------+-- ...  --+--------+--------+ ... +
//	| h0  e0 |   --   | h1  e1 | h2  e2 |   --     |  h  e  |   overflow   |
//	+--------+--------+--------+--------+-- ...  --+--------+--------+ ... +
//
// The home position grows with the hash, so an entry that finds its home taken
// moves to the right only past smaller hashes, and a search ends at the first empty
// slot or larger hash. Entries never wrap around; those that the last homes cannot
// take go to a short overflow at the end.
package index
