// Package e2e holds the tests of the built binary: they run Caddy with this plugin
// as a process of its own, in front of the example API or an exchange, and do to it
// what happens in production. They kill it, reload it under load, fill its disk, start
// it twice and stop it; and they connect to it with clients that are not ours.
//
// What they check is what a user was promised: an acknowledged logout holds, for
// every request that begins after it and after every restart; nobody who was not
// logged out is refused; and what cannot be answered is refused with 503 in the
// API's own format, never let through.
//
// The processes of these tests are killed with SIGKILL, which loses what the
// process had in memory and nothing that it had handed to the kernel. That a disk
// without power keeps what was synced is argued and tested in the store's package.
package e2e
