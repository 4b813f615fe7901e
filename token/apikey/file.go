package apikey

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"example.com/caddy-token-auth/internal/filewatch"
)

const (
	// MaxFileSize is the largest file of keys, in bytes: room for a million lines with names
	// of fifty bytes. It bounds what a file that was named by mistake costs.
	MaxFileSize = 128 << 20
	// maxLine is the longest line of it: a name, a hash and a long comment.
	maxLine = 4096
)

// ReadKeys reads keys from a file of at most MaxFileSize bytes. Each line is a name and a
// hash, as for NewKeys, separated by white space; # begins a comment. Errors about a line
// begin with "<path>:<line>: ".
func ReadKeys(path string) (*Keys, error) {
	k := &Keys{names: make(map[digest]string)}
	if err := k.readFile(path); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keys) readFile(path string) error {
	file, err := filewatch.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > MaxFileSize {
		return fmt.Errorf("%s: larger than %d bytes", path, MaxFileSize)
	}
	// Still bounded, should it grow.
	if err := k.read(io.LimitReader(file, MaxFileSize)); err != nil {
		return fmt.Errorf("%s:%w", path, err)
	}
	return nil
}

// read adds the keys of a file and returns errors that begin with the line number.
func (k *Keys) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine+len("\n"))
	n := 0
	for lines.Scan() {
		n++
		if err := k.addLine(lines.Bytes()); err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%d: the line is longer than %d bytes", n+1, maxLine)
	case err != nil:
		return fmt.Errorf("%d: %w", n+1, err)
	}
	return nil
}

// addLine adds the key of one line, if it has one.
func (k *Keys) addLine(line []byte) error {
	text, _, _ := bytes.Cut(line, []byte("#"))
	var fields [2][]byte
	count := 0
	for field := range bytes.FieldsSeq(text) {
		if count == len(fields) {
			return errors.New("more than a name and a hash: names have no white space")
		}
		fields[count] = field
		count++
	}
	switch count {
	case 0:
		return nil
	case 1:
		return errors.New("only one word: want a name and a hash")
	}
	return k.add(string(fields[0]), fields[1])
}
