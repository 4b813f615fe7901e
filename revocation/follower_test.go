package revocation

import "testing"

// Only the load of the last gap says that the summary is complete: one that an older gap has
// begun may have passed what the last one has missed, and may end after it.
func TestLoadOfAnOlderGapDoesNotEndTheLast(t *testing.T) {
	f := &follower{}
	first, second := new(load), new(load)
	f.last.Store(first)
	f.last.Store(second)
	first.done.Store(true)
	if f.loaded() {
		t.Error("loaded by a reading that began before the last gap")
	}
	second.done.Store(true)
	if !f.loaded() {
		t.Error("not loaded")
	}
}
