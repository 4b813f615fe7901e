//go:build unix

package redisstore

import "syscall"

// pause stops the server's process without ending it.
func (s *server) pause() { s.signal(syscall.SIGSTOP) }

// resume lets it go on.
func (s *server) resume() { s.signal(syscall.SIGCONT) }

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}
