// Package durable writes files that are still there, whole, after the power has failed.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile has write fill a new file of mode 0600, and gives it the name. What had that
// name before is replaced in one step. Once WriteFile has returned nil the file is on
// disk. After an error, or a crash, the name is as it was, or has the new content whole;
// a crash may leave an incomplete file beside it, whose name begins with the same letters.
func WriteFile(name string, write func(io.Writer) error) error {
	dir := filepath.Dir(name)
	draft, err := os.CreateTemp(dir, filepath.Base(name)+".new-*")
	if err != nil {
		return err
	}
	err = write(draft)
	if err == nil {
		err = draft.Sync()
	}
	if err = errors.Join(err, draft.Close()); err == nil {
		err = os.Rename(draft.Name(), name)
	}
	if err != nil {
		return errors.Join(err, remove(draft.Name()))
	}
	return SyncDir(dir)
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
