//go:build !linux

package history

import "syscall"

// endWithUs: only Linux has that.
func endWithUs() *syscall.SysProcAttr { return nil }
