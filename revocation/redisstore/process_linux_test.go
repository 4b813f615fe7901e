package redisstore

import "syscall"

// endWithUs makes a server end when the process of the tests ends, however it does.
func endWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
