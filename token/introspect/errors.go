package introspect

import (
	"errors"
	"fmt"
)

// Every error of Client.Introspect wraps exactly one of these two.
var (
	// ErrInactive: the token must be refused. The server says so, or what it says about
	// the token contradicts the Options. Then the error wraps one of the errors of
	// package token as well: ErrIssuer, ErrAudience, ErrNotYetValid, ErrIssuedInFuture,
	// ErrExpired, ErrTooOld, or for a text that no server can have issued ErrMalformed,
	// ErrTooLarge or ErrMissing.
	ErrInactive = errors.New("token is not active")
	// ErrUnavailable: nobody knows whether the token is active. The client should try
	// again later. It wraps what the context says if that is why.
	ErrUnavailable = errors.New("token introspection is unavailable")
)

var (
	errClosed    = errors.New("closed")
	errBusy      = errors.New("too many requests are under way")
	errAbandoned = errors.New("abandoned") // which nobody is there to see
)

func inactive(reason error) error { return fmt.Errorf("%w: %w", ErrInactive, reason) }

func unavailable(reason error) error { return fmt.Errorf("%w: %w", ErrUnavailable, reason) }
