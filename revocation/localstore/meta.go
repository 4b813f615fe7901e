package localstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A meta page of bbolt, format version 2, in the byte order of the machine. Pages 0
// and 1 are meta pages; the valid one with the higher txid counts.
//
//	 0            16      20       24         28     32          48        56     64    72
//	+------------+-------+--------+----------+------+-----------+---------+------+-----+----------+
//	| page header| magic | version| page size| flags| root      | freelist| pages| txid| checksum |
//	| 16         | 4     | 4      | 4        | 4    | 16        | 8       | 8    | 8   | 8 FNV-1a |
//	+------------+-------+--------+----------+------+-----------+---------+------+-----+----------+
const (
	metaStart      = 16
	metaSize       = 64
	metaMagic      = 0xED0CDAED
	metaVersion    = 2
	metaNoFreelist = ^uint64(0)

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

// meta is what this package needs to know of a meta page.
type meta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // pages in use: all of them have a smaller number
	txid     uint64
}

var (
	errNoMeta      = errors.New("no meta page")
	errMetaVersion = errors.New("meta page of another version")
	errMetaInvalid = errors.New("meta page does not match its checksum")
)

// parseMeta reads the meta page that page begins with.
func parseMeta(page []byte) (meta, error) {
	if len(page) < metaStart+metaSize {
		return meta{}, errNoMeta
	}
	b, order := page[metaStart:metaStart+metaSize], binary.NativeEndian
	if order.Uint32(b) != metaMagic {
		return meta{}, errNoMeta
	}
	if order.Uint32(b[4:]) != metaVersion {
		return meta{}, errMetaVersion
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8]) // never fails
	if sum.Sum64() != order.Uint64(b[metaSize-8:]) {
		return meta{}, errMetaInvalid
	}
	return meta{
		pageSize: order.Uint32(b[8:]),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}, nil
}

// checkRoots looks at a file before bbolt does, which would write to some foreign
// files and trusts the size of every file. It returns the root that counts, or the
// zero meta for an empty file.
func checkRoots(f *os.File) (meta, error) {
	info, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	if !info.Mode().IsRegular() {
		return meta{}, fmt.Errorf("%w: %s is no regular file; %s", ErrForeign, f.Name(), adviceForeign)
	}
	if info.Size() == 0 {
		return meta{}, nil
	}
	m, err := findMeta(f)
	switch {
	case errors.Is(err, errNoMeta), errors.Is(err, errMetaVersion):
		return m, fmt.Errorf("%w: %s: %w; %s", ErrForeign, f.Name(), err, adviceForeign)
	case errors.Is(err, errMetaInvalid):
		return m, fmt.Errorf("%w: %s: %w; %s", ErrDamaged, f.Name(), err, adviceDamaged)
	case err != nil:
		return m, err
	case m.freelist == metaNoFreelist:
		// bbolt would write one at once. This package always does.
		return m, fmt.Errorf("%w: %s is the bbolt database of another program; %s", ErrForeign, f.Name(), adviceForeign)
	}
	if pages := uint64(info.Size()) / uint64(m.pageSize); m.pages > pages {
		return m, fmt.Errorf("%w: %s was cut short, it has room for %d pages of the %d in use; %s",
			ErrDamaged, f.Name(), pages, m.pages, adviceDamaged)
	}
	return m, nil
}

// checkTree checks what is under the root m.
func checkTree(f *os.File, m meta) error {
	if m.pageSize == 0 {
		return nil // an empty file
	}
	switch err := checkPages(f, m); {
	case errors.Is(err, errBuckets):
		return fmt.Errorf("%w: %s: %w; %s", ErrForeign, f.Name(), err, adviceForeign)
	case errors.Is(err, errPage), errors.Is(err, errPageUse):
		return fmt.Errorf("%w: %s: %w; %s", ErrDamaged, f.Name(), err, adviceDamaged)
	default:
		return err
	}
}

// findMeta returns the meta page that counts. Where the first is unreadable the page
// size is unknown, and the second is looked for at every size there is.
func findMeta(r io.ReaderAt) (meta, error) {
	first, firstErr := readMeta(r, 0)
	if firstErr == nil {
		if second, err := readMeta(r, int64(first.pageSize)); err == nil && second.txid > first.txid {
			return second, nil
		}
		return first, nil
	}
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		if m, err := readMeta(r, size); err == nil && int64(m.pageSize) == size {
			return m, nil
		}
	}
	return meta{}, firstErr
}

func readMeta(r io.ReaderAt, offset int64) (meta, error) {
	page := make([]byte, metaStart+metaSize)
	if _, err := r.ReadAt(page, offset); errors.Is(err, io.EOF) {
		return meta{}, errNoMeta
	} else if err != nil {
		return meta{}, err
	}
	m, err := parseMeta(page)
	if err == nil && (m.pageSize < minPageSize || m.pageSize > maxPageSize) {
		err = errMetaInvalid
	}
	return m, err
}
