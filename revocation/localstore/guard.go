package localstore

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// panicError is what guarded makes of a panic.
type panicError struct{ reason any }

func (p *panicError) Error() string { return fmt.Sprintf("storage engine: %v", p.reason) }

// Unwrap makes the error of a panic one about a damaged file: an assertion about
// what was read has failed, or the disk could not deliver a page.
func (p *panicError) Unwrap() error { return ErrDamaged }

func isPanic(err error) bool {
	_, ok := errors.AsType[*panicError](err)
	return ok
}

// guarded calls fn and returns a *panicError if it panics or touches a page of the
// memory map that cannot be read, which would end the process otherwise.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = &panicError{reason}
		}
	}()
	return fn()
}
