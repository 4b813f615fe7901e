package differential

import "syscall"

// endWithUs makes a process end when the one of the tests ends, however it does.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
