package localstore

import "time"

// Options changes how a Store is opened and runs. The zero value is ready to use.
type Options struct {
	// LockTimeout is how long Open waits for another process to release the file.
	// Default: 5 seconds.
	LockTimeout time.Duration

	// PurgeInterval is the time between two removals of expired records.
	// Default: 1 minute.
	PurgeInterval time.Duration

	// Now is the clock that decides what has expired. Default: time.Now.
	Now func() time.Time

	// Progress, if set, is called by Open now and then, and when it is done, with
	// the number of records loaded so far.
	Progress func(loaded int)

	hooks hooks // for tests
}

const (
	defaultLockTimeout   = 5 * time.Second
	defaultPurgeInterval = time.Minute
)

func (o Options) withDefaults() Options {
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.PurgeInterval <= 0 {
		o.PurgeInterval = defaultPurgeInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
	return o
}
