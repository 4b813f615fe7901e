//go:build !linux

package redisstore

import "syscall"

func endWithUs() *syscall.SysProcAttr { return nil }
