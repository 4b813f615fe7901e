package jsonrpc

import (
	"bytes"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// maxReused is the longest text, in bytes, whose decoder is used again: what a decoder
// keeps grows with what it has read.
const maxReused = 16 << 10

// decoder is a JSON decoder and what it reads from.
type decoder struct {
	text bytes.Buffer
	json *jsontext.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.json = jsontext.NewDecoder(&d.text)
	return d
}}

// open begins to read a text, in place.
func (d *decoder) open(text []byte) *jsontext.Decoder {
	d.text = *bytes.NewBuffer(text)
	d.json.Reset(&d.text)
	return d.json
}

// release gives the decoder back, without the text, which had n bytes.
func (d *decoder) release(n int) {
	if n > maxReused {
		return
	}
	d.text = bytes.Buffer{}
	d.json.Reset(&d.text)
	decoders.Put(d)
}
