package localstore

import (
	"errors"
	"fmt"
)

// failedCommit is what heal needs to know of a commit that failed, or may have. The
// package comment says why it is needed.
type failedCommit struct {
	// visible is the transaction whose root bbolt used right after the failure, and
	// loaded its free list from: the failed one, or the one before it.
	visible int
	// rewrite says that visible is the failed one.
	rewrite bool
	// root is the meta page of visible as it was then; nil if it could not be read.
	root []byte
}

var errRootLost = errors.New("the root in use is no longer in the file")

// inspectFailure notes the state after the failure of transaction txid.
func (s *Store) inspectFailure(txid, visible int) *failedCommit {
	f := &failedCommit{visible: visible, rewrite: visible == txid}
	if f.rewrite {
		// At once, while the page is certainly still cached. heal tries again.
		_ = s.readRoot(f)
	}
	return f
}

func (s *Store) rootOffset(f *failedCommit) int64 { return int64(f.visible%2) * s.pageSize }

func (s *Store) readRoot(f *failedCommit) error {
	page := make([]byte, s.pageSize)
	if _, err := s.file.ReadAt(page, s.rootOffset(f)); err != nil {
		return err
	}
	if m, err := parseMeta(page); err != nil || m.txid != uint64(f.visible) {
		return errors.Join(errRootLost, err)
	}
	f.root = page
	return nil
}

// adopt makes sure that the root which this process has found is on the disk, and
// not only in a page cache that an earlier process left behind.
func (s *Store) adopt() error {
	visible, err := s.lastTransaction()
	if err != nil {
		return s.breakDown(err)
	}
	s.unhealed = s.inspectFailure(visible, visible)
	return s.heal()
}

// heal makes durable what the last commit, if it failed, may have left in the page
// cache only. Until it succeeds there are no writes.
func (s *Store) heal() error {
	f := s.unhealed
	if f == nil {
		return nil
	}
	if f.rewrite && f.root == nil {
		if err := s.readRoot(f); errors.Is(err, errRootLost) {
			return s.breakDown(err)
		} else if err != nil {
			return err
		}
	}
	if err := s.rewriteRoot(f); err != nil {
		return fmt.Errorf("securing what was written before: %w", err)
	}
	// Sync, not fdatasync: the file may have grown in the failed commit.
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("securing what was written before: %w", err)
	}
	if f.rewrite && s.hooks.rewritten != nil {
		s.hooks.rewritten(f.root, s.rootOffset(f))
	}
	visible, err := s.lastTransaction()
	if err == nil && visible != f.visible {
		err = errRootLost
	}
	if err != nil {
		return s.breakDown(err)
	}
	s.unhealed = nil
	return nil
}

// rewriteRoot waits for the readers that began before the failure, and writes the
// root while there are none.
func (s *Store) rewriteRoot(f *failedCommit) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if !f.rewrite {
		return nil
	}
	_, err := s.file.WriteAt(f.root, s.rootOffset(f))
	return err
}
