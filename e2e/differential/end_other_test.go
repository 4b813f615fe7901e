//go:build !linux

package differential

import "syscall"

// endWithUs: only Linux has that.
func endWithUs() *syscall.SysProcAttr { return nil }
