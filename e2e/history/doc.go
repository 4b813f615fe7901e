// Package history tests what several replicas promise together: three processes of the
// built binary share one store, Redis or NATS, while a random schedule kills, pauses and
// cuts off replicas and store. Every request and its answer is recorded, and the record
// is judged afterwards, by rules that know nothing of how the sidecar works:
//
//   - After a logout was acknowledged, no request that begins later, with a token that it
//     covers, is let through by the same replica, whether or not that was killed and
//     started again meanwhile.
//   - No other replica lets such a request through that begins more than max_staleness
//     later, and a replica that nothing has happened to is faster by far.
//   - A token that no logout may have covered is never refused as revoked, nor is one
//     that a replica has handed out at a login that began after the logout.
//   - In the end, when everything works again, every replica knows every acknowledged
//     logout, and lets every other token through.
//
// A record that breaks a rule is kept as a file, one JSON value in each line, and its name
// is printed. Servers that are killed lose what they had in memory, and nothing that they
// had handed to the kernel.
package history
