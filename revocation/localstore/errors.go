package localstore

import "errors"

var (
	// ErrForeign is wrapped by Open's error when the file was not written by this
	// package, or by a version of it with another format. The file is unchanged.
	ErrForeign = errors.New("not a revocation list")

	// ErrDamaged is wrapped by errors about a file, or a record in it, that cannot
	// be what was written. The file is unchanged.
	ErrDamaged = errors.New("revocation list is damaged")

	// ErrLocked is wrapped by Open's error when another process has the file open.
	ErrLocked = errors.New("revocation list is in use")

	// ErrBroken is wrapped by the errors of a Store whose storage engine has
	// panicked. It has to be opened anew.
	ErrBroken = errors.New("revocation list has to be opened anew")
)

// Advice at the end of the errors about a file that cannot be opened.
const (
	adviceForeign = "nothing was changed; use another directory for the revocation list, or move this file away"
	adviceDamaged = "nothing was changed; restore the file from a backup, " +
		"or move it away to start with an empty list: what was logged out before is then valid again until it expires"
	adviceLocked = "probably another Caddy with the same directory, such as an instance that is still shutting down, " +
		"or a command beside a running instance; stop it, or give each its own directory"
)
