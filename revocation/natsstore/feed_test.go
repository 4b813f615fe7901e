package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/caddy-token-auth/revocation"
)

// The marker of a removal is replaced when the key is revoked anew. Whoever was away
// meanwhile must not merge the old entry with the new one.
func TestReplacedMarkerIsReported(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	late, early := token(1), token(1)
	late.At = early.At.Add(time.Minute)
	sink := follow(t, s, "")
	mustRevoke(t, s, late)
	sink.await(t, "report", func() bool { return len(sink.list) == 1 && !sink.alive.IsZero() })
	at := sink.position()
	sink.cancel()
	sink.end(t)

	if err := s.Restore(t.Context(), late.Key()); err != nil {
		t.Fatal(err)
	}
	mustRevoke(t, s, early)
	longer := early
	longer.Expires = early.Expires.Add(time.Hour)
	mustRevoke(t, s, longer) // merging does not forget the removal

	resumed := newSink()
	resumed.list[late.Key()] = late
	resumed.follow(t, s, at)
	resumed.await(t, "the new entry", func() bool {
		e := resumed.list[late.Key()]
		return !resumed.gap && e.At.Equal(early.At) && e.Expires.Equal(longer.Expires)
	})
}

// A slow network takes long to bring an acknowledgement to whoever waits for it. What it
// is about is stored by then, before Watch starts.
func TestAcknowledgedAfterStartIsReported(t *testing.T) {
	t.Parallel()
	running := singleServer(t)
	p := startProxy(t, "", running.Addr().String())
	opts := Options{URLs: []string{p.url()}, Bucket: newBucket()}
	far := open(t, opts)
	opts.URLs = []string{running.ClientURL()}
	near := open(t, opts)
	dropBucket(t, near)
	mustRevoke(t, far, token(1))
	p.slow(time.Second)
	acknowledged := make(chan error, 1)
	go func() { acknowledged <- far.Revoke(context.Background(), token(2)) }()
	await(t, "message", func() bool {
		v, err := near.last(t.Context(), token(2).Key())
		return err == nil && v.stored
	})
	p.blackhole()
	sink := follow(t, near, "")
	p.forward()
	if err := <-acknowledged; err != nil {
		t.Fatal(err)
	}
	sink.await(t, "report", func() bool { return sink.list[token(2).Key()].ID != "" })
}

// message is one that a follower receives.
type message struct {
	jetstream.Msg
	consumer, stream uint64
	subject          string
	header           nats.Header
	data             []byte
}

func (m message) Subject() string      { return m.subject }
func (m message) Headers() nats.Header { return m.header }
func (m message) Data() []byte         { return m.data }

func (m message) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Consumer: m.consumer, Stream: m.stream}}, nil
}

// feeder hands messages to a follower that has no server.
type feeder struct {
	*follower
	sink *sink
	sent uint64
}

func newFeeder() *feeder {
	s := &Store{layout: newLayout("b")}
	k := newSink()
	return &feeder{sink: k, follower: &follower{
		store: s, sink: k, tail: &tail{store: s}, removals: make(map[uint64]struct{}),
	}}
}

func (f *feeder) send(t testing.TB, m message) {
	t.Helper()
	f.sent++
	m.consumer = f.sent
	if err := f.take(m); err != nil {
		t.Fatal(err)
	}
}

func (f *feeder) barrier(t testing.TB, sequence uint64) {
	t.Helper()
	f.send(t, message{stream: sequence, subject: f.store.layout.barrier()})
}

func (f *feeder) stored(t testing.TB, sequence uint64, e revocation.Entry, removal uint64) {
	t.Helper()
	f.send(t, message{
		stream: sequence, subject: f.store.layout.entry(e.Key()), data: record{entry: e, removal: removal}.encode(),
	})
}

func (f *feeder) marker(t testing.TB, sequence uint64, e revocation.Entry) {
	t.Helper()
	f.send(t, message{
		stream: sequence, subject: f.store.layout.entry(e.Key()), header: header(headerOperation, operationDelete),
	})
}

// begin begins a round whose barrier has the given sequence.
func (f *feeder) begin(barrier uint64) {
	f.round = round{running: true, begun: time.Now(), asOf: time.Unix(int64(barrier), 0), holes: f.tail.holes, barrier: barrier}
}

// lively reports whether Alive was called for the round with the given barrier.
func (f *feeder) lively(t testing.TB, barrier uint64) bool {
	t.Helper()
	if err := f.endRound(); err != nil {
		t.Fatal(err)
	}
	return f.sink.alive.Equal(time.Unix(int64(barrier), 0))
}

// What left a hole in the sequences was written anew, and the follower cannot know where:
// perhaps it comes after the barrier.
func TestRoundWithAHoleShowsNothing(t *testing.T) {
	f := newFeeder()
	f.stored(t, 1, token(1), 0)
	f.begin(4)
	f.stored(t, 2, token(2), 0)
	if f.lively(t, 4) {
		t.Fatal("Alive before the barrier")
	}
	f.barrier(t, 4) // 3 is missing
	if f.lively(t, 4) {
		t.Fatal("Alive, but what was 3 is not reported")
	}
	f.stored(t, 5, token(3), 0) // this is what was 3
	f.begin(6)
	f.barrier(t, 6)
	if !f.lively(t, 6) {
		t.Fatal("no Alive although nothing is missing")
	}
	f.begin(9)
	f.stored(t, 7, token(4), 0)
	f.stored(t, 8, token(5), 0)
	f.stored(t, 10, token(6), 0) // the barrier itself was replaced, by another process
	if f.lively(t, 9) {
		t.Fatal("Alive, but 9 may have been anything")
	}
}

// A removal is reported once: by its marker, or before the first entry that names it.
func TestRemovalIsReportedOnce(t *testing.T) {
	f := newFeeder()
	e := token(1)
	for _, step := range []struct {
		what     string
		send     func()
		removals int // reported so far
	}{
		{"an entry", func() { f.stored(t, 1, e, 0) }, 0},
		{"a marker", func() { f.marker(t, 2, e) }, 1},
		{"the entry after the marker", func() { f.stored(t, 3, e, 2) }, 1},
		{"an entry after a marker that was replaced", func() { f.stored(t, 5, e, 4) }, 2},
		{"the same, merged", func() { f.stored(t, 6, e, 4) }, 2},
		{"a clean round", func() { f.begin(7); f.barrier(t, 7); f.lively(t, 7) }, 2},
		{"an entry after a removal before that", func() { f.stored(t, 8, e, 4) }, 2},
		{"another marker", func() { f.marker(t, 9, e) }, 3},
	} {
		step.send()
		if f.sink.removed != step.removals {
			t.Fatalf("%s: %d removals reported, want %d", step.what, f.sink.removed, step.removals)
		}
	}
	if len(f.removals) != 1 {
		t.Errorf("%d removals remembered, want those after the clean round: 1", len(f.removals))
	}
}

func TestLostMessageEndsTheFeed(t *testing.T) {
	f := newFeeder()
	f.stored(t, 1, token(1), 0)
	err := f.take(message{consumer: 3, stream: 2, subject: f.store.layout.barrier()})
	if !errors.Is(err, ErrFeedLost) {
		t.Fatalf("a lost message gave %v, want ErrFeedLost", err)
	}
}

// Such as one from before an older state was put back, on servers whose clock was set
// back too.
func TestPositionAheadOfTheStreamIsAGap(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	info, err := s.bucketInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	here := position{created: info.Created.UnixNano(), sequence: info.State.LastSeq, stored: info.State.LastTime.UnixNano()}
	ahead := here
	ahead.sequence, ahead.stored = here.sequence+1000, here.stored+int64(time.Hour)
	for _, c := range []struct {
		at  position
		gap bool
	}{{here, false}, {ahead, true}} {
		if sink := follow(t, s, c.at.encode()); sink.gap != c.gap {
			t.Errorf("Started(gap %t) from %+v, want %t", sink.gap, c.at, c.gap)
		}
	}
}

// Whoever has heard of no change can be away and come back as well.
func TestQuietFeedCanBeResumed(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	sink := follow(t, s, "")
	sink.await(t, "position", func() bool { return sink.at != "" })
	sink.cancel()
	sink.end(t)
	mustRevoke(t, s, token(1))
	sink = follow(t, s, sink.position())
	sink.await(t, "resumption", func() bool { return !sink.gap && len(sink.list) == 1 })
}

func TestPositionRoundTrip(t *testing.T) {
	p := position{created: 1, sequence: 1 << 63, stored: -1, clean: 7}
	text := p.encode()
	if got, ok := decodePosition(text); !ok || got != p {
		t.Fatalf("decoded %+v, %t, want %+v", got, ok, p)
	}
	for _, text := range []revocation.Position{
		"", "1.", text[1:], text[:len(text)-1], text + "A", "2" + text[1:],
		revocation.Position(strings.Replace(string(text), "A", "!", 1)), revocation.Position(fmt.Sprintf("1.%0*d", 1000, 0)),
	} {
		if got, ok := decodePosition(text); ok {
			t.Errorf("%q decodes to %+v", text, got)
		}
	}
}
