// Package dialect renders refusals and the answer to a logout in the format of the
// API that the sidecar stands in front of, so that a client written for that API
// sees nothing else.
//
// A Dialect gives status and body. Header fields that mean the same in every API
// (WWW-Authenticate, Retry-After, Allow, Cache-Control) are the caller's. It knows of
// the request only what the caller tells it, and nothing that the caller tells it can
// change the structure of a JSON answer.
//
// Answers may be shared: callers must not modify their bodies.
package dialect
