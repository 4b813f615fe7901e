//go:build !unix

package history

import "errors"

// Here no process can be paused.
func (p *process) pause() error  { return errors.ErrUnsupported }
func (p *process) resume() error { return errors.ErrUnsupported }
