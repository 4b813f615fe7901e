package localstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/internal/durable"
)

// FileName is the name of the file within the directory given to Open.
const FileName = "revocations.db"

// makeDir creates dir, readable by its owner only, and makes its name durable.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Clean(dir)))
}

// createFile puts an empty list at path unless there is a file already. It is
// prepared under another name, so that a crash leaves a complete file or none. A
// crash just then leaves that other file behind, which nothing looks at.
func createFile(path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), FileName+".new-*") // has mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(draft.Name())) }()
	if err := draft.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(draft.Name(), 0o600, engineOptions(time.Second, nil))
	if err != nil {
		return err
	}
	if err := errors.Join(initialize(db), db.Close()); err != nil {
		return err
	}
	// Link, unlike Rename, does not replace the file of a process that was faster.
	// Where there are no links bbolt creates the file in place.
	err = os.Link(draft.Name(), path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

var (
	bucketAbout   = []byte("about")
	bucketRecords = []byte("records")
	keyApp        = []byte("application")
	keyVersion    = []byte("version")
)

const (
	application   = "token_auth revocations"
	formatVersion = "1"
)

// initialize makes an empty bbolt database an empty list.
func initialize(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		about, err := tx.CreateBucket(bucketAbout)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(bucketRecords); err != nil {
			return err
		}
		if err := about.Put(keyApp, []byte(application)); err != nil {
			return err
		}
		return about.Put(keyVersion, []byte(formatVersion))
	})
}

// checkFormat reports whether db has no bucket at all, and an error if it has those
// of another program or version.
func checkFormat(db *bbolt.DB) (empty bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		if first, _ := tx.Cursor().First(); first == nil {
			empty = true
			return nil
		}
		about := tx.Bucket(bucketAbout)
		if about == nil || string(about.Get(keyApp)) != application {
			return fmt.Errorf("%w: %s is the bbolt database of another program; %s", ErrForeign, db.Path(), adviceForeign)
		}
		if version := about.Get(keyVersion); string(version) != formatVersion {
			return fmt.Errorf("%w: %s has format version %.20q, this program reads %s; %s",
				ErrForeign, db.Path(), version, formatVersion, adviceForeign)
		}
		if tx.Bucket(bucketRecords) == nil {
			return fmt.Errorf("%w: %s has no records bucket; %s", ErrDamaged, db.Path(), adviceDamaged)
		}
		return nil
	})
	return empty, err
}
