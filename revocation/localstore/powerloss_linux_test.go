package localstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// diskWrite is one write to the file in a simulated history.
type diskWrite struct {
	data   []byte
	offset int64
	size   int64 // of the file at that time
	at     int   // its place among the events
	// synced is the event from which on it is on the disk for certain, or 0: if its
	// sync failed, it may be there or not, in part or whole, until a later write
	// covers it.
	synced int
}

// history records what a store writes and when it is synced.
type history struct {
	disk   *disk
	events int // writes and syncs so far
	writes []diskWrite
	// pending is the position of the first write that no sync has followed.
	pending int
}

func (h *history) add(data []byte, offset int64) {
	info, err := h.disk.file.Stat()
	if err != nil {
		h.disk.t.Error(err)
		return
	}
	h.events++
	h.writes = append(h.writes, diskWrite{data: bytes.Clone(data), offset: offset, size: info.Size(), at: h.events})
}

// sync notes that a sync took place, and whether it succeeded. One that fails leaves
// the pages clean: no later one writes them.
func (h *history) sync(ok bool) {
	h.events++
	if ok {
		for i := h.pending; i < len(h.writes); i++ {
			h.writes[i].synced = h.events
		}
	}
	h.pending = len(h.writes)
}

// image returns what the disk may hold when the power fails after n events.
func (h *history) image(base []byte, n int, rng *rand.Rand) []byte {
	image := bytes.Clone(base)
	const sector = 512
	for _, w := range h.writes {
		if w.at > n {
			break
		}
		if grow := int(w.size) - len(image); grow > 0 {
			image = append(image, make([]byte, grow)...)
		}
		if w.synced > 0 && w.synced <= n {
			copy(image[w.offset:], w.data)
			continue
		}
		switch rng.IntN(3) {
		case 0: // lost
		case 1:
			copy(image[w.offset:], w.data)
		case 2: // torn: some of its sectors
			for at := 0; at < len(w.data); at += sector {
				if rng.IntN(2) == 0 {
					copy(image[int(w.offset)+at:], w.data[at:min(at+sector, len(w.data))])
				}
			}
		}
	}
	return image
}

// The power fails at any moment, beside failed writes and syncs before it. What was
// acknowledged by then is there when the list is opened again.
func TestPowerLossKeepsWhatWasAcknowledged(t *testing.T) {
	seeds, images := uint64(3), 1
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			powerLoss(t, rand.New(rand.NewPCG(seed, 77)), images)
		})
	}
}

func powerLoss(t *testing.T, rng *rand.Rand, images int) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, clock)
	first := tokens(clock, 0, 300)
	mustRevoke(t, s, first...)
	base, err := os.ReadFile(filePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, s)
	h := &history{disk: d}
	rewritten := func(page []byte, offset int64) {
		h.add(page, offset)
		h.sync(true)
	}
	s.hooks.rewritten = rewritten
	// A promise is an acknowledged entry, and the number of events until then.
	type promise struct {
		entry revocation.Entry
		since int
	}
	var promises []promise
	for _, e := range first {
		promises = append(promises, promise{e, 0})
	}
	for range 25 {
		fault := rng.IntN(6)
		rootSeen := false
		d.onWrite = func(page []byte, offset int64) (bool, error) {
			if d.isRoot(offset) {
				h.sync(true) // bbolt comes here only if the sync of the pages succeeded
				rootSeen = true
			}
			h.add(page, offset)
			switch {
			case fault == 0 && !d.isRoot(offset), fault <= 2 && d.isRoot(offset):
				d.replace("/dev/null") // its sync fails
			case fault == 3 && d.isRoot(offset):
				return false, syscall.EIO
			}
			return false, nil
		}
		var entries []revocation.Entry
		for range 1 + rng.IntN(40) {
			e := token(clock, rng.IntN(500))
			e.Expires = e.Expires.Add(time.Duration(rng.IntN(100)) * time.Second)
			entries = append(entries, e)
		}
		err := s.Revoke(context.Background(), entries...)
		if errors.Is(err, ErrBroken) {
			t.Fatal(err)
		}
		h.sync(err == nil && rootSeen)
		if err == nil {
			for _, e := range entries {
				promises = append(promises, promise{e, h.events})
			}
		}
		d.repair()
		if rng.IntN(4) == 0 { // the process ends, and another one goes on
			s.Close()
			s, err = Open(context.Background(), dir, Options{Now: clock.Now, hooks: hooks{rewritten: rewritten}})
			if err != nil {
				t.Fatal(err)
			}
			d = newDisk(t, s)
			h.disk = d
		}
	}
	s.Close()
	crashed := memoryDir(t)
	for n := range h.events + 1 {
		for range images {
			if err := os.WriteFile(filePath(crashed), h.image(base, n, rng), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(context.Background(), crashed, Options{Now: clock.Now})
			if err != nil {
				t.Fatalf("after %d events of %d: %v", n, h.events, err)
			}
			var due []revocation.Entry
			for _, p := range promises {
				if p.since <= n {
					due = append(due, p.entry)
				}
			}
			mustHold(t, s, due...)
			s.Close()
		}
	}
}
