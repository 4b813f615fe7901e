package jsonrpc

import (
	"fmt"
	"io"
)

// Secret is a token as the client presents it. Convert it to a string to use it:
// printing and encoding it show nothing.
type Secret string

const hidden = "[secret]"

// Format writes nothing of the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns nothing of the secret either.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
