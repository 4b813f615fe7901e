//go:build unix

package jwks

import (
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
)

// Opening a pipe would wait for somebody to write.
func TestAPipeIsNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, path, new(recorder))
		settle()
		if s.Status().Err == nil {
			t.Error("read")
		}
	})
}
