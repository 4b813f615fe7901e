// Package ndjson moves a revocation list from one store to another, as lines of JSON.
//
// # What is guaranteed
//
// Export writes every entry that was live throughout, and at its end how many they were: a
// file without that last line is not complete, and Import says so. Import merges (see
// revocation.Merge): importing twice, in any order, or into a list that is in use, takes
// nothing away from it.
//
// The lines hold identifiers, and never anything that could be presented as a credential.
package ndjson

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"example.com/caddy-token-auth/revocation"
)

// line is an entry, or the last line.
type line struct {
	Scope string `json:"scope,omitempty"`
	// Realm and ID are texts; what is no UTF-8 is in the other two.
	Realm      string    `json:"realm,omitempty"`
	ID         string    `json:"id,omitempty"`
	RealmBytes []byte    `json:"realm_base64,omitempty"`
	IDBytes    []byte    `json:"id_base64,omitempty"`
	At         time.Time `json:"at,omitzero"`
	Expires    time.Time `json:"expires,omitzero"`
	Note       []byte    `json:"note,omitempty"`

	// Entries is how many lines there were before the last one.
	Entries *int `json:"entries,omitempty"`
}

// maxLine bounds a line: an entry of the largest size, escaped, takes less than 8 KiB.
const maxLine = 16 << 10

// batch is how many entries are stored at once. A store that groups its writes makes them
// durable together.
const batch = 1000

// Errors of Import.
var (
	// ErrIncomplete: the input ends before its last line.
	ErrIncomplete = errors.New("the input is cut off: its last line is not the number of entries")
	// ErrLine: a line is not one of Export.
	ErrLine = errors.New("not a line of an export")
)

var scopes = func() map[string]revocation.Scope {
	all := make(map[string]revocation.Scope)
	for s := revocation.ScopeToken; s.Valid(); s++ {
		all[s.String()] = s
	}
	return all
}()

// Export writes all live entries of store to w. progress, if not nil, is called with the
// number of entries so far, after each batch. It returns how many there were.
func Export(ctx context.Context, store revocation.Store, w io.Writer, progress func(n int)) (int, error) {
	buffered := bufio.NewWriterSize(w, 1<<20)
	encoder := json.NewEncoder(buffered)
	n := 0
	err := store.Scan(ctx, func(e revocation.Entry) error {
		if err := encoder.Encode(lineOf(e)); err != nil {
			return err
		}
		if n++; n%batch == 0 && progress != nil {
			progress(n)
		}
		return nil
	})
	if err == nil {
		err = encoder.Encode(line{Entries: &n})
	}
	if err == nil {
		err = buffered.Flush()
	}
	return n, err
}

func lineOf(e revocation.Entry) line {
	l := line{Scope: e.Scope.String(), At: e.At.UTC(), Expires: e.Expires.UTC(), Note: []byte(e.Note)}
	if utf8.ValidString(e.Realm) {
		l.Realm = e.Realm
	} else {
		l.RealmBytes = []byte(e.Realm)
	}
	if utf8.ValidString(e.ID) {
		l.ID = e.ID
	} else {
		l.IDBytes = []byte(e.ID)
	}
	return l
}

func (l *line) entry() (revocation.Entry, error) {
	e := revocation.Entry{
		Scope: scopes[l.Scope], Realm: l.Realm + string(l.RealmBytes), ID: l.ID + string(l.IDBytes),
		At: l.At, Expires: l.Expires, Note: string(l.Note),
	}
	return e, e.Validate()
}

// Import stores the entries of an export, all but the first skip ones, and returns how many
// entries of r are stored for certain, those that were skipped included: to go on after
// an error, skip so many. progress, if not nil, is called with that number after each
// batch.
func Import(ctx context.Context, store revocation.Store, r io.Reader, skip int, progress func(n int)) (int, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, maxLine), maxLine)
	stored, n := 0, 0
	pending := make([]revocation.Entry, 0, batch)
	flush := func() error {
		if err := store.Revoke(ctx, pending...); err != nil {
			return fmt.Errorf("store entries %d to %d: %w", stored+1, n, err)
		}
		pending, stored = pending[:0], n
		if progress != nil {
			progress(stored)
		}
		return nil
	}
	// fail stores what came before what is wrong.
	fail := func(err error) (int, error) {
		err = errors.Join(fmt.Errorf("line %d: %w", n+1, err), flush())
		return stored, err
	}
	for scanner.Scan() {
		l, err := parse(scanner.Bytes())
		if err != nil {
			return fail(err)
		}
		if l.Entries != nil {
			return finish(scanner, &l, n, stored, flush)
		}
		e, err := l.entry()
		if err != nil {
			return fail(fmt.Errorf("%w: %w", ErrLine, err))
		}
		if n++; n <= skip {
			stored = n
			continue
		}
		pending = append(pending, e)
		if len(pending) == batch {
			if err := flush(); err != nil {
				return stored, err
			}
		}
	}
	if err := scanner.Err(); err != nil {
		return fail(err)
	}
	// What came is good; that it is not all must be said all the same.
	if err := flush(); err != nil {
		return stored, err
	}
	return stored, ErrIncomplete
}

// finish handles the last line.
func finish(scanner *bufio.Scanner, last *line, n, stored int, flush func() error) (int, error) {
	switch {
	case *last.Entries != n:
		return stored, fmt.Errorf("%w: %d entries came, and there were %d", ErrIncomplete, n, *last.Entries)
	case scanner.Scan():
		return stored, fmt.Errorf("line %d: %w: there is nothing after the number of entries", n+2, ErrLine)
	}
	if err := flush(); err != nil {
		return stored, err
	}
	return n, nil
}

// parse reads one line strictly.
func parse(text []byte) (line, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var l line
	if err := decoder.Decode(&l); err != nil {
		return line{}, ErrLine // whose text may be anything
	}
	if decoder.More() || l.Entries != nil && l.Scope != "" {
		return line{}, ErrLine
	}
	return l, nil
}
