package localstore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// disk stands between a store and its file. Its writes always reach the file, by
// another descriptor; replace makes the store's descriptor one of another file.
type disk struct {
	t     testing.TB
	store *Store
	file  *os.File // the real one
	// onWrite sees every write of bbolt before it is made. What it returns is what
	// bbolt gets; the write is made in either case, unless skip is set.
	onWrite func(page []byte, offset int64) (skip bool, err error)
}

// newDisk steps between s and its file. The committer of s must be idle.
func newDisk(t testing.TB, s *Store) *disk {
	t.Helper()
	fd, err := syscall.Dup(int(s.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{t: t, store: s, file: os.NewFile(uintptr(fd), s.file.Name())}
	t.Cleanup(func() { d.file.Close() })
	ops := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	if ops.Kind() != reflect.Func {
		t.Fatal("this version of bbolt cannot be intercepted")
	}
	*(*func([]byte, int64) (int, error))(unsafe.Pointer(ops.UnsafeAddr())) = d.writeAt
	return d
}

func (d *disk) writeAt(page []byte, offset int64) (int, error) {
	if d.onWrite != nil {
		if skip, err := d.onWrite(page, offset); err != nil || skip {
			if !skip {
				d.writeFile(page, offset)
			}
			return 0, err
		}
	}
	// By the store's descriptor first: if it leads elsewhere, that is what counts.
	if n, err := d.store.file.WriteAt(page, offset); err != nil {
		return n, err
	}
	d.writeFile(page, offset)
	return len(page), nil
}

func (d *disk) writeFile(page []byte, offset int64) {
	if _, err := d.file.WriteAt(page, offset); err != nil {
		d.t.Error(err)
	}
}

// replace makes the store's descriptor lead to the file at path: /dev/full, where
// every write fails with ENOSPC, or /dev/null, where every sync fails with EINVAL.
func (d *disk) replace(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		d.t.Error(err)
		return
	}
	defer f.Close()
	if err := syscall.Dup3(int(f.Fd()), int(d.store.file.Fd()), syscall.O_CLOEXEC); err != nil {
		d.t.Error(err)
	}
}

// repair makes it lead to the real file again.
func (d *disk) repair() {
	d.onWrite = nil
	if err := syscall.Dup3(int(d.file.Fd()), int(d.store.file.Fd()), syscall.O_CLOEXEC); err != nil {
		d.t.Error(err)
	}
}

func (d *disk) isRoot(offset int64) bool { return offset < 2*d.store.pageSize }

func TestFailedWritesAreHonest(t *testing.T) {
	for name, fail := range map[string]func(d *disk){
		"disk full":               func(d *disk) { d.replace("/dev/full") },
		"every write and sync":    func(d *disk) { d.replace("/dev/null") },
		"sync of the data fails":  func(d *disk) { d.onWrite = d.failSync(false) },
		"sync of the root fails":  func(d *disk) { d.onWrite = d.failSync(true) },
		"root is written, error":  func(d *disk) { d.onWrite = d.failRoot(func([]byte) bool { return false }) },
		"root is not written":     func(d *disk) { d.onWrite = d.failRoot(func([]byte) bool { return true }) },
		"half a root is written":  func(d *disk) { d.onWrite = d.failRoot(d.tearRoot) },
		"a page is not written":   func(d *disk) { d.onWrite = d.failPage },
		"disk full from the root": func(d *disk) { d.onWrite = d.fullFromRoot },
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			dir, clock := t.TempDir(), storetest.NewClock()
			s := open(t, dir, clock)
			acknowledged := tokens(clock, 0, 500)
			mustRevoke(t, s, acknowledged...)
			d := newDisk(t, s)
			ctx := context.Background()
			for round := range 3 {
				moved := acknowledged[round]
				moved.Expires = moved.Expires.Add(1e9)
				fail(d)
				for n := range 3 {
					fresh := token(clock, 1000+10*round+n)
					if err := s.Revoke(ctx, fresh, moved); err == nil {
						t.Fatal("Revoke gave no error")
					} else if errors.Is(err, ErrBroken) {
						t.Fatalf("Revoke gave %v", err)
					}
					mustNotLose(t, s, acknowledged...)
				}
				d.repair()
				again := tokens(clock, 1000+10*round, 1000+10*round+6)
				mustRevoke(t, s, again...)
				mustRevoke(t, s, moved)
				acknowledged[round] = moved
				acknowledged = append(acknowledged, again...)
				mustHold(t, s, acknowledged...)
				checkIndex(t, s)
			}
			s.Close()
			reopened := open(t, dir, clock)
			mustHold(t, reopened, acknowledged...)
			checkIndex(t, reopened)
		})
	}
}

// mustNotLose fails the test if s says of an entry that it is not there. It may be
// unable to say anything.
func mustNotLose(t *testing.T, s *Store, entries ...revocation.Entry) {
	t.Helper()
	for _, e := range entries {
		found, err := s.Lookup(context.Background(), e.Key())
		if err == nil && found[0].ID != e.ID || s.Absent(e.Key()) {
			t.Fatalf("%q is missing", e.ID)
		}
	}
}

// failSync lets the sync fail that follows the writes of pages, or of the root.
func (d *disk) failSync(root bool) func([]byte, int64) (bool, error) {
	return func(page []byte, offset int64) (bool, error) {
		if d.isRoot(offset) == root {
			d.replace("/dev/null")
		}
		return false, nil
	}
}

// failRoot gives an error for the write of the root.
func (d *disk) failRoot(skip func([]byte) bool) func([]byte, int64) (bool, error) {
	return func(page []byte, offset int64) (bool, error) {
		if !d.isRoot(offset) {
			return false, nil
		}
		return skip(page), syscall.EIO
	}
}

func (d *disk) tearRoot(page []byte) bool {
	for i := 48; i < len(page); i++ {
		page[i] = 0xee
	}
	return false
}

func (d *disk) failPage(_ []byte, offset int64) (bool, error) {
	return true, syscall.EIO
}

func (d *disk) fullFromRoot(_ []byte, offset int64) (bool, error) {
	if d.isRoot(offset) {
		d.replace("/dev/full")
	}
	return false, nil
}

func TestFullDiskSaysSo(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	for n := range 5 {
		mustRevoke(t, s, token(clock, n)) // leaves free pages: the file need not grow
	}
	d := newDisk(t, s)
	d.replace("/dev/full")
	err := s.Revoke(context.Background(), token(clock, 9))
	d.repair()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Revoke gave %v", err)
	}
}

// All callers of a transaction that fails get its error.
func TestEveryCallerOfAFailedTransactionIsTold(t *testing.T) {
	clock := storetest.NewClock()
	s := openIdle(t, t.TempDir(), clock)
	d := newDisk(t, s)
	d.onWrite = d.failPage
	h := holdCommitter(s)
	const callers = 20
	errs := make(chan error, callers)
	for n := range callers {
		go func() { errs <- h.Revoke(context.Background(), token(clock, n)) }()
	}
	<-h.arrived
	for len(h.queue) < callers-1 {
		// They are all on their way into the queue.
	}
	close(h.release)
	for range callers {
		if err := <-errs; !errors.Is(err, syscall.EIO) {
			t.Fatalf("Revoke gave %v", err)
		}
	}
	d.repair()
	if s.Len() != 1 {
		t.Fatalf("%d entries are in the index, want the first alone", s.Len())
	}
}

// A reader that began before a commit failed keeps its pages: writing waits for it.
func TestHealingWaitsForReaders(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	mustRevoke(t, s, tokens(clock, 0, 500)...)
	// Free pages for what follows: bbolt waits for readers anyway when the file grows.
	var keys []revocation.Key
	more := tokens(clock, 1000, 3000)
	for _, e := range more {
		keys = append(keys, e.Key())
	}
	mustRevoke(t, s, more...)
	if err := s.Restore(context.Background(), keys...); err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, s)
	d.onWrite = d.failSync(true)

	reading, goOn := make(chan struct{}), make(chan struct{})
	read := make(chan error, 1)
	go func() {
		read <- s.view(func(records *bbolt.Bucket) error {
			close(reading)
			<-goOn
			n := 0
			err := records.ForEach(func(k, v []byte) error {
				n++
				expiry, key, err := parseRecordKey(k)
				if err == nil {
					_, err = readRecord(expiry, key, v)
				}
				return err
			})
			if err == nil && n != 500 {
				err = errors.New("records are missing")
			}
			return err
		})
	}()
	<-reading
	if err := s.Revoke(context.Background(), tokens(clock, 500, 600)...); err == nil {
		t.Fatal("Revoke gave no error")
	}
	d.repair()
	written := make(chan error, 1)
	go func() { written <- s.Revoke(context.Background(), tokens(clock, 600, 700)...) }()
	for s.gate.TryRLock() { // until the committer waits for the reader
		s.gate.RUnlock()
		select {
		case err := <-written:
			t.Errorf("Revoke gave %v while a reader was on the old pages", err)
			close(goOn)
			t.Fatalf("the reader got: %v", <-read)
		default:
		}
	}
	close(goOn)
	if err := errors.Join(<-read, <-written); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, tokens(clock, 0, 500)...)
	mustHold(t, s, tokens(clock, 600, 700)...)
}

// A file that is cut short under an open store makes reads of the memory map raise
// SIGBUS. This runs in a process of its own, which must not die of it.
func TestFaultsAreErrors(t *testing.T) {
	if os.Getenv("LOCALSTORE_FAULT") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaultsAreErrors$", "-test.v")
		cmd.Env = append(os.Environ(), "LOCALSTORE_FAULT=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFaultsAreErrors") {
			t.Fatalf("the process ended with %v:\n%s", err, out)
		}
		return
	}
	dir, clock := t.TempDir(), storetest.NewClock()
	s, err := Open(t.Context(), dir, Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	mustRevoke(t, s, tokens(clock, 0, 2000)...)
	ctx := context.Background()
	if err := os.Truncate(filePath(dir), 2*s.pageSize); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(ctx, token(clock, 1).Key()); err == nil {
		t.Fatal("Lookup gave no error")
	}
	if err := s.Scan(ctx, func(revocation.Entry) error { return nil }); err == nil {
		t.Fatal("Scan gave no error")
	}
	for range 3 {
		if err := s.Revoke(ctx, token(clock, 3000)); err == nil {
			t.Fatal("Revoke gave no error")
		}
	}
	if err := s.Revoke(ctx, token(clock, 3000)); !errors.Is(err, ErrBroken) {
		t.Fatalf("Revoke gave %v, want ErrBroken", err)
	}
	if err := os.Truncate(filePath(dir), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(ctx, token(clock, 1).Key()); err == nil {
		t.Fatal("Lookup gave no error")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(ctx, token(clock, 3000)); !errors.Is(err, revocation.ErrClosed) {
		t.Fatalf("Revoke gave %v, want ErrClosed", err)
	}
}
