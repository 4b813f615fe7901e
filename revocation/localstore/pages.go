package localstore

import (
	"encoding/binary"
	"errors"
	"io"
)

// The pages of a bbolt file, in the byte order of the machine:
//
//	 0     8       10      12         16
//	+-----+-------+-------+----------+------------------------------------------
//	| id  | flags | count | overflow | branch: count x {pos 4, key size 4, page 8}
//	| 8   | 2     | 2     | 4        | leaf:   count x {flags 4, pos 4, key size 4, value size 4}
//	+-----+-------+-------+----------+ freelist: count x page 8
//
// A page takes 1 + overflow page sizes. The value of a bucket in the root begins with
// the page of its own root, or 0 for a small bucket that is stored in the value.
const (
	pageHeaderSize = 16
	elementSize    = 16
	flagBranch     = 0x01
	flagLeaf       = 0x02
	flagFreelist   = 0x10
	bucketFlag     = 0x01
	// bigCount says that a free list begins with its length.
	bigCount = 0xFFFF
	// maxDepth is more than a tree can have with two keys on every branch page.
	maxDepth = 64
)

var (
	errPage    = errors.New("a page is not what its place in the tree says")
	errPageUse = errors.New("a page is used twice or out of range")
	errBuckets = errors.New("it has the buckets of another program")
)

// pageCheck walks the tree of a file and its free list, without bbolt, which trusts
// both: a page that the free list gives away while the tree uses it is overwritten
// by a later write, and a branch that leads back to itself is followed for ever.
type pageCheck struct {
	r    io.ReaderAt
	size int64  // bytes in a page
	end  uint64 // pages in use have smaller numbers
	used []uint64
}

type pageHeader struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint64
}

// checkPages returns an error if the tree and the free list under the root m are
// not sound, or if the buckets are not those of this package. m.pages pages fit
// into the file.
func checkPages(r io.ReaderAt, m meta) error {
	c := &pageCheck{r: r, size: int64(m.pageSize), end: m.pages, used: make([]uint64, m.pages/64+1)}
	if err := c.rootBucket(m.root); err != nil {
		return err
	}
	return c.freelist(m.freelist)
}

// open reads the header of page id and claims the page.
func (c *pageCheck) open(id uint64, flags uint16) (pageHeader, error) {
	if id < 2 || id >= c.end {
		return pageHeader{}, errPageUse
	}
	var b [pageHeaderSize]byte
	if _, err := c.r.ReadAt(b[:], int64(id)*c.size); err != nil {
		return pageHeader{}, err
	}
	order := binary.NativeEndian
	h := pageHeader{
		id:       order.Uint64(b[:]),
		flags:    order.Uint16(b[8:]),
		count:    int(order.Uint16(b[10:])),
		overflow: uint64(order.Uint32(b[12:])),
	}
	if h.id != id || h.flags&flags == 0 || h.flags&(h.flags-1) != 0 {
		return h, errPage
	}
	for n := uint64(0); n <= h.overflow; n++ {
		if err := c.claim(id + n); err != nil {
			return h, err
		}
	}
	return h, nil
}

// claim notes that page id is in use, or free, and fails if that was known.
func (c *pageCheck) claim(id uint64) error {
	if id < 2 || id >= c.end || c.used[id/64]&(1<<(id%64)) != 0 {
		return errPageUse
	}
	c.used[id/64] |= 1 << (id % 64)
	return nil
}

// body reads the part of a page, already claimed, that follows its header.
func (c *pageCheck) body(h pageHeader) ([]byte, error) {
	b := make([]byte, (1+int64(h.overflow))*c.size-pageHeaderSize)
	_, err := c.r.ReadAt(b, int64(h.id)*c.size+pageHeaderSize)
	return b, err
}

// rootBucket checks the one leaf that lists the buckets, and their trees.
func (c *pageCheck) rootBucket(id uint64) error {
	h, err := c.open(id, flagLeaf|flagBranch)
	if err != nil {
		return err
	}
	if h.flags != flagLeaf || h.count > 2 {
		return errBuckets
	}
	b, err := c.body(h)
	if err != nil {
		return err
	}
	for i := range h.count {
		name, root, err := bucketElement(b, i*elementSize)
		if err != nil {
			return err
		}
		if name != string(bucketAbout) && name != string(bucketRecords) {
			return errBuckets
		}
		if root == 0 {
			continue
		}
		if err := c.tree(root, 0); err != nil {
			return err
		}
	}
	return nil
}

// bucketElement returns the name and the root page of the bucket whose element is at
// the given place of a leaf page's body.
func bucketElement(b []byte, at int) (name string, root uint64, err error) {
	order := binary.NativeEndian
	if at+elementSize > len(b) {
		return "", 0, errPage
	}
	flags := order.Uint32(b[at:])
	start := uint64(at) + uint64(order.Uint32(b[at+4:]))
	value := start + uint64(order.Uint32(b[at+8:]))
	end := value + uint64(order.Uint32(b[at+12:]))
	if end > uint64(len(b)) {
		return "", 0, errPage
	}
	if flags != bucketFlag {
		return "", 0, errBuckets // bbolt has nothing but buckets here
	}
	if end-value < 16 {
		return "", 0, errPage
	}
	return string(b[start:value]), order.Uint64(b[value:]), nil
}

// tree checks the pages at and below id.
func (c *pageCheck) tree(id uint64, depth int) error {
	h, err := c.open(id, flagLeaf|flagBranch)
	if err != nil || h.flags == flagLeaf {
		return err
	}
	b, err := c.body(h)
	if err != nil {
		return err
	}
	if h.count == 0 || h.count*elementSize > len(b) || depth == maxDepth {
		return errPage
	}
	for i := range h.count {
		child := binary.NativeEndian.Uint64(b[i*elementSize+8:])
		if err := c.tree(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// freelist checks that no page that is given away is in use. It comes last.
func (c *pageCheck) freelist(id uint64) error {
	h, err := c.open(id, flagFreelist)
	if err != nil {
		return err
	}
	b, err := c.body(h)
	if err != nil {
		return err
	}
	order := binary.NativeEndian
	count := uint64(h.count)
	if h.count == bigCount {
		count, b = order.Uint64(b), b[8:]
	}
	if count > uint64(len(b))/8 {
		return errPage
	}
	for i := range count {
		if err := c.claim(order.Uint64(b[i*8:])); err != nil {
			return err
		}
	}
	return nil
}
