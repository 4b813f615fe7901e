package localstore

import (
	"bytes"
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
// A page takes 1 + overflow page sizes. An element's key is pos bytes after the
// beginning of the element, and its value follows the key. The value of a bucket in
// the root begins with the page of its own root, or 0 for a small bucket that is
// stored in the value.
const (
	pageHeaderSize = 16
	elementSize    = 16
	flagBranch     = 0x01
	flagLeaf       = 0x02
	flagFreelist   = 0x10
	bucketFlag     = 0x01
	bucketSize     = 16 // of a bucket's value, at least
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
// by a later write, a branch that leads back to itself is followed for ever, and a
// record behind a wrong branch key is not found.
type pageCheck struct {
	r    io.ReaderAt
	size int64    // bytes in a page
	end  uint64   // pages in use have smaller numbers
	used []uint64 // one bit for each page
	page []byte   // the page that was read last
}

// page is what open returns: a page's header, and what follows it.
type page struct {
	flags uint16
	count int
	body  []byte
}

// checkPages returns an error if the tree and the free list under the root m are
// not sound, or if the buckets are not those of this package. m.pages pages fit
// into the file.
func checkPages(r io.ReaderAt, m meta) error {
	c := &pageCheck{
		r: r, size: int64(m.pageSize), end: m.pages,
		used: make([]uint64, m.pages/64+1), page: make([]byte, m.pageSize),
	}
	if err := c.rootBucket(m.root); err != nil {
		return err
	}
	return c.freelist(m.freelist)
}

// open reads page id and claims it. The body is valid until the next call.
func (c *pageCheck) open(id uint64, flags uint16) (page, error) {
	if err := c.claim(id); err != nil {
		return page{}, err
	}
	if _, err := c.r.ReadAt(c.page, int64(id)*c.size); err != nil {
		return page{}, err
	}
	order := binary.NativeEndian
	p := page{
		flags: order.Uint16(c.page[8:]),
		count: int(order.Uint16(c.page[10:])),
		body:  c.page[pageHeaderSize:],
	}
	if order.Uint64(c.page) != id || p.flags&flags == 0 || p.flags&(p.flags-1) != 0 {
		return page{}, errPage
	}
	overflow := uint64(order.Uint32(c.page[12:]))
	for n := range overflow {
		if err := c.claim(id + 1 + n); err != nil {
			return page{}, err
		}
	}
	if overflow > 0 {
		p.body = make([]byte, (1+int64(overflow))*c.size-pageHeaderSize)
		if _, err := c.r.ReadAt(p.body, int64(id)*c.size+pageHeaderSize); err != nil {
			return page{}, err
		}
	}
	if p.flags != flagFreelist && p.count*elementSize > len(p.body) {
		return page{}, errPage
	}
	return p, nil
}

// claim notes that page id is in use, or free, and fails if that was known.
func (c *pageCheck) claim(id uint64) error {
	if id < 2 || id >= c.end || c.used[id/64]&(1<<(id%64)) != 0 {
		return errPageUse
	}
	c.used[id/64] |= 1 << (id % 64)
	return nil
}

// branch returns the key and the page of a branch page's i-th element.
func (p page) branch(i int) (key []byte, child uint64, err error) {
	order, at := binary.NativeEndian, i*elementSize
	start := uint64(at) + uint64(order.Uint32(p.body[at:]))
	end := start + uint64(order.Uint32(p.body[at+4:]))
	if end > uint64(len(p.body)) {
		return nil, 0, errPage
	}
	return p.body[start:end], order.Uint64(p.body[at+8:]), nil
}

// leaf returns the flags, key and value of a leaf page's i-th element.
func (p page) leaf(i int) (flags uint32, key, value []byte, err error) {
	order, at := binary.NativeEndian, i*elementSize
	start := uint64(at) + uint64(order.Uint32(p.body[at+4:]))
	middle := start + uint64(order.Uint32(p.body[at+8:]))
	end := middle + uint64(order.Uint32(p.body[at+12:]))
	if end > uint64(len(p.body)) {
		return 0, nil, nil, errPage
	}
	return order.Uint32(p.body[at:]), p.body[start:middle], p.body[middle:end], nil
}

// rootBucket checks the one leaf that lists the buckets, and their trees.
func (c *pageCheck) rootBucket(id uint64) error {
	p, err := c.open(id, flagLeaf|flagBranch)
	if err != nil {
		return err
	}
	if p.flags != flagLeaf || p.count > 2 {
		return errBuckets
	}
	p.body = bytes.Clone(p.body)
	for i := range p.count {
		flags, name, value, err := p.leaf(i)
		if err != nil {
			return err
		}
		if flags != bucketFlag || !bytes.Equal(name, bucketAbout) && !bytes.Equal(name, bucketRecords) {
			return errBuckets
		}
		if len(value) < bucketSize {
			return errPage
		}
		root := binary.NativeEndian.Uint64(value)
		if root == 0 {
			continue
		}
		if _, _, err := c.tree(root, 0); err != nil {
			return err
		}
	}
	return nil
}

// tree checks the pages at and below id. It returns the first and the last key, or
// nil for both if there is none.
func (c *pageCheck) tree(id uint64, depth int) (first, last []byte, err error) {
	p, err := c.open(id, flagLeaf|flagBranch)
	if err != nil {
		return nil, nil, err
	}
	if p.flags == flagLeaf {
		return leafKeys(p)
	}
	if p.count == 0 || depth == maxDepth {
		return nil, nil, errPage
	}
	p.body = bytes.Clone(p.body)
	for i := range p.count {
		key, child, err := p.branch(i)
		if err != nil {
			return nil, nil, err
		}
		from, to, err := c.tree(child, depth+1)
		if err != nil {
			return nil, nil, err
		}
		// A search for a key goes to the last child whose key is not larger.
		if i > 0 && bytes.Compare(last, key) >= 0 || from != nil && bytes.Compare(key, from) > 0 {
			return nil, nil, errPage
		}
		if first == nil {
			first = from
		}
		last = key
		if to != nil {
			last = to
		}
	}
	return first, last, nil
}

// leafKeys checks the elements of a leaf page that is no root, and returns the first
// and the last key.
func leafKeys(p page) (first, last []byte, err error) {
	for i := range p.count {
		flags, key, _, err := p.leaf(i)
		if err != nil {
			return nil, nil, err
		}
		if flags != 0 || i > 0 && bytes.Compare(last, key) >= 0 {
			return nil, nil, errPage
		}
		if i == 0 {
			first = bytes.Clone(key)
		}
		last = key
	}
	return first, bytes.Clone(last), nil
}

// freelist checks that no page that is given away is in use. It comes last.
func (c *pageCheck) freelist(id uint64) error {
	p, err := c.open(id, flagFreelist)
	if err != nil {
		return err
	}
	order := binary.NativeEndian
	count := uint64(p.count)
	if p.count == bigCount {
		count, p.body = order.Uint64(p.body), p.body[8:]
	}
	if count > uint64(len(p.body))/8 {
		return errPage
	}
	for i := range count {
		if err := c.claim(order.Uint64(p.body[i*8:])); err != nil {
			return err
		}
	}
	return nil
}
