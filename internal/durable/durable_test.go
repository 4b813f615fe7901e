package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writing(text string, err error) func(io.Writer) error {
	return func(w io.Writer) error {
		_, writeErr := io.WriteString(w, text)
		return errors.Join(writeErr, err)
	}
}

func TestFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "key")
	if err := WriteFile(name, writing("one", nil)); err != nil || content(t, name) != "one" {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	failure := errors.New("failed on the way")
	if err := WriteFile(name, writing("tw", failure)); !errors.Is(err, failure) || content(t, name) != "one" {
		t.Error("after a failure:", content(t, name), err)
	}
	if err := WriteFile(name, writing("two", nil)); err != nil || content(t, name) != "two" {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Error("left beside it:", left, err)
	}
}

func TestNameThatCannotBeGivenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(name, "by a directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(name, writing("text", nil)); err == nil {
		t.Error("a directory was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Error("left beside it:", left, err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "name"), writing("text", nil)); err == nil {
		t.Error("written into a directory that is not there")
	}
	if err := SyncDir(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory was synced that is not there")
	}
}
