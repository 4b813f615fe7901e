package apikey

import (
	"fmt"
	"io"
)

const (
	// digestLabel keeps digests apart from everything else made of the same secret.
	digestLabel = "caddy-token-auth: name of an API key"

	// digestLength is how much of the MAC is used: too much for two keys ever to have the
	// same, and a whole number of characters.
	digestLength = 18
)

// Digester names keys of which only the API behind knows whether they are valid.
type Digester struct {
	mac *mac
}

// NewDigester returns the Digester of a secret of at least MinSecretLength bytes. All
// replicas need the same one. It may be that of the Sessions.
func NewDigester(secret []byte) (*Digester, error) {
	m, err := newMAC(secret, digestLabel)
	if err != nil {
		return nil, err
	}
	return &Digester{mac: m}, nil
}

// Digest returns the name of a key: the same for the same key, another for any other, 24
// characters of base64url. Without the secret nobody can tell from it what the key
// is, not even for a key that can be guessed.
func (d *Digester) Digest(key string) string {
	sum := d.mac.sum(nil, key)
	return encoding.EncodeToString(sum[:digestLength])
}

// Format implements fmt.Formatter for every verb.
func (Digester) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "digester of API keys") }
