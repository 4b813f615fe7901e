package natsstore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/caddy-token-auth/revocation"
)

// connectAdmin returns JetStream as an operator's tool has it.
func connectAdmin(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// bucketConfig is a stream's configuration that is accepted.
func bucketConfig(bucket string) jetstream.StreamConfig {
	l := newLayout(bucket)
	return jetstream.StreamConfig{
		Name: l.stream, Subjects: []string{l.subjects()}, Storage: jetstream.FileStorage, Replicas: 1,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, AllowMsgTTL: true, AllowDirect: true, AllowRollup: true,
	}
}

func TestBucketThatWouldLoseEntriesIsRefused(t *testing.T) {
	url := singleServer(t).ClientURL()
	js := connectAdmin(t, url)
	for reason, spoil := range map[string]func(*jetstream.StreamConfig){
		"memory":         func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"persist mode":   func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"acknowledges":   func(c *jetstream.StreamConfig) { c.NoAck = true },
		"retention":      func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"history":        func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"discard policy": func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 1<<20 },
		"discard per":    func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = true },
		"bytes":          func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 },
		"TTL":            func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false },
		"other subjects": func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "more") },
		"counters": func(c *jetstream.StreamConfig) {
			c.AllowMsgCounter, c.AllowMsgTTL, c.Discard = true, false, jetstream.DiscardOld
		},
		"copies": func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "KV_origin"}} },
	} {
		t.Run(reason, func(t *testing.T) {
			config := bucketConfig(newBucket())
			spoil(&config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = js.DeleteStream(context.Background(), config.Name) })
			_, err := Open(t.Context(), Options{URLs: []string{url}, Bucket: strings.TrimPrefix(config.Name, "KV_")})
			if !errors.Is(err, ErrBucket) {
				t.Fatalf("Open gave %v, want ErrBucket", err)
			}
			if host := strings.TrimPrefix(url, "nats://"); !strings.Contains(err.Error(), host) {
				t.Errorf("%v does not name the server %s", err, host)
			}
			if reason != "counters" && !strings.Contains(err.Error(), reason) {
				t.Errorf("%v does not speak of %s", err, reason)
			}
		})
	}
}

func TestBucketThatIsNotAsAskedIsWarnedOf(t *testing.T) {
	url := singleServer(t).ClientURL()
	js := connectAdmin(t, url)
	for _, c := range []struct {
		warning string
		change  func(*jetstream.StreamConfig)
		opts    Options
	}{
		{"", func(*jetstream.StreamConfig) {}, Options{}},
		{"", func(*jetstream.StreamConfig) {}, Options{Replicas: 1}},
		{"3", func(*jetstream.StreamConfig) {}, Options{Replicas: 3}},
		{"2h", func(c *jetstream.StreamConfig) { c.MaxAge = 2 * time.Hour }, Options{}},
		{"", func(c *jetstream.StreamConfig) { c.MaxAge = 2 * time.Hour }, Options{MaxAge: 2 * time.Hour}},
		{"full", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 30 }, Options{}},
	} {
		config := bucketConfig(newBucket())
		c.change(&config)
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		var warnings []string
		c.opts.URLs, c.opts.Bucket = []string{url}, strings.TrimPrefix(config.Name, "KV_")
		c.opts.OnWarning = func(w string) { warnings = append(warnings, w) }
		s := open(t, c.opts)
		dropBucket(t, s)
		mustRevoke(t, s, token(1))
		mustHold(t, s, token(1))
		if text := strings.Join(warnings, "\n"); (text == "") != (c.warning == "") || !strings.Contains(text, c.warning) {
			t.Errorf("warned of %q, want %q", text, c.warning)
		}
	}
}

func TestBucketIsCreatedOnlyIfAllowed(t *testing.T) {
	opts := Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket(), MustExist: true}
	if _, err := Open(t.Context(), opts); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatalf("Open gave %v, want ErrStreamNotFound", err)
	}
	opts.MustExist = false
	dropBucket(t, open(t, opts))
	opts.MustExist = true
	open(t, opts)
}

func TestProcessesMayCreateTheBucketAtOnce(t *testing.T) {
	t.Parallel()
	opts := Options{URLs: sharedCluster(t).urls(), Bucket: newBucket(), Replicas: 3, Timeout: 10 * time.Second}
	var group sync.WaitGroup
	for n := range 6 {
		group.Go(func() {
			s, err := Open(t.Context(), opts)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := s.Revoke(t.Context(), token(n)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	s := open(t, opts)
	dropBucket(t, s)
	for n := range 6 {
		mustHold(t, s, token(n))
	}
}

// What the bucket would forget too early is refused. The settings of the list, which
// never expire, stay whatever the bucket's age limit.
func TestAgeLimitRefusesWhatMustLiveLonger(t *testing.T) {
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket(), MaxAge: 2 * time.Hour})
	dropBucket(t, s)
	long := token(1)
	long.Expires = time.Now().Add(3 * time.Hour)
	if err := s.Revoke(t.Context(), token(2), long); !errors.Is(err, ErrBucket) {
		t.Fatalf("Revoke gave %v, want ErrBucket", err)
	}
	if found, err := s.Lookup(t.Context(), token(2).Key()); err != nil || found[0].Scope != 0 {
		t.Fatalf("Lookup gave %+v, %v: something was stored", found, err)
	}
	settings := revocation.Entry{Scope: revocation.ScopeRetention, ID: "1h 1h 0", At: time.Now(), Expires: revocation.Forever}
	mustRevoke(t, s, token(1), settings)
	if ttl := storedTTL(t, s, settings.Key()); ttl != "never" {
		t.Errorf("the TTL of what never expires is %q", ttl)
	}
}

// storedTTL returns for how long the servers keep what is stored under key.
func storedTTL(t testing.TB, s *Store, key revocation.Key) string {
	t.Helper()
	msg, err := s.fromLeader(t.Context(), messageRequest{LastFor: s.layout.entry(key)})
	if err != nil || msg == nil {
		t.Fatalf("no message: %v", err)
	}
	return msg.Header.Get(headerTTL)
}

func TestMessagesOutliveTheirEntries(t *testing.T) {
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	check := func(what string, key revocation.Key, expires time.Time) {
		t.Helper()
		left := time.Until(expires)
		ttl, err := time.ParseDuration(storedTTL(t, s, key))
		if err != nil || ttl%time.Second != 0 || ttl < left+ttlSlack || ttl > left+ttlSlack+10*time.Second {
			t.Errorf("%s: TTL %s, %v, of what is needed for %s", what, ttl, err, left)
		}
	}
	for _, life := range []time.Duration{time.Second, 90*time.Second + time.Millisecond, 365 * 24 * time.Hour} {
		e := token(int(life))
		e.Expires = time.Now().Add(life)
		mustRevoke(t, s, e)
		check("entry", e.Key(), e.Expires)
		longer := e
		longer.Expires = e.Expires.Add(time.Hour)
		mustRevoke(t, s, longer)
		mustRevoke(t, s, e) // an earlier expiry changes nothing
		check("merged entry", e.Key(), longer.Expires)
		if err := s.Restore(t.Context(), e.Key()); err != nil {
			t.Fatal(err)
		}
		check("marker", e.Key(), longer.Expires)
	}
}

// Operators use the usual tools on the bucket.
func TestBucketIsAKeyValueBucket(t *testing.T) {
	url := singleServer(t).ClientURL()
	s := open(t, Options{URLs: []string{url}, Bucket: newBucket()})
	dropBucket(t, s)
	kv, err := connectAdmin(t, url).KeyValue(t.Context(), strings.TrimPrefix(s.layout.stream, "KV_"))
	if err != nil {
		t.Fatal(err)
	}
	sink := follow(t, s, "")
	e := token(1)
	mustRevoke(t, s, e)
	sink.await(t, "report", func() bool { return len(sink.list) == 1 })
	key := strings.TrimPrefix(s.layout.entry(e.Key()), s.layout.prefix)
	got, err := kv.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := decodeRecord(got.Value()); err != nil || r.entry.ID != e.ID {
		t.Fatalf("the tool shows %+v, %v", r, err)
	}
	if err := kv.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	sink.await(t, "removal", func() bool { return len(sink.list) == 0 })
	if found, err := s.Lookup(t.Context(), e.Key()); err != nil || found[0].Scope != 0 {
		t.Fatalf("Lookup gave %+v, %v", found, err)
	}
	mustRevoke(t, s, e)
	mustHold(t, s, e)
}

// Somebody has put something else into the bucket.
func TestForeignKeysAreLeftAlone(t *testing.T) {
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	sink := follow(t, s, "")
	for _, subject := range []string{"foreign", "a.b", strings.Repeat("F", 32), strings.Repeat("g", 32), strings.Repeat("0", 30)} {
		if _, err := s.js.Publish(t.Context(), s.layout.prefix+subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	mustRevoke(t, s, token(1))
	sink.await(t, "report", func() bool { return len(sink.list) == 1 })
	var seen int
	if err := s.Scan(t.Context(), func(revocation.Entry) error { seen++; return nil }); err != nil || seen != 1 {
		t.Fatalf("Scan saw %d entries: %v", seen, err)
	}
}

// A record that cannot be read may be a revocation: nobody is told that there is none.
func TestDamagedRecordIsAnError(t *testing.T) {
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	other := record{entry: token(2)}.encode()
	for name, data := range map[string][]byte{"no record": []byte("x"), "empty": nil, "of another key": other} {
		key := token(1).Key()
		if _, err := s.js.Publish(t.Context(), s.layout.entry(key), data); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(t.Context(), key); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Lookup gave %v, want ErrDamaged", name, err)
		}
		if err := s.Revoke(t.Context(), token(1)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Revoke gave %v, want ErrDamaged", name, err)
		}
		if err := s.Scan(t.Context(), func(revocation.Entry) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Scan gave %v, want ErrDamaged", name, err)
		}
		if err := s.Watch(t.Context(), "", newSink()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Watch gave %v, want ErrDamaged", name, err)
		}
	}
}
