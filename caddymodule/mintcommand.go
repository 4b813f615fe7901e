package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func mintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "mint {--secret-file <file> | --key-file <file> | --config <path>} [--client <id>] [--session <id>] [--id <id>] " +
			"[--expires <duration>] [--issuer <iss>] [--audience <aud>]... [--claim <name>=<value>]... [--algorithm <alg>] [--kid <kid>]",
		Short: "Makes a token for a test",
		Long: `
Makes a JWT, signs it with a key that is at hand here, and prints it to the
standard output. No instance is asked: one that runs never signs anything.

The key is a shared secret (--secret-file, with base64: in front decoded), a
private key in PEM form (--key-file), or the secret that the directive of a
configuration has (--config), whose placeholders are replaced here. Of
--config, the issuer, audience and names of claims count as well, where there
are no flags for them. - is the standard input.

The value of a --claim is JSON, or a text where it is none.

Exit codes: 0 the token was printed; 1 it was not.`,
		Args: noArguments,
		RunE: caddycmd.WrapCommandFuncForCobra(func(f caddycmd.Flags) (int, error) { return exitCode(runMint(f)) }),
	}
	flags := cmd.Flags()
	flags.String("secret-file", "", "File that holds the shared secret")
	flags.String("key-file", "", "File that holds the private key")
	flags.StringP("config", "c", "", "Configuration whose directive has the secret")
	flags.StringP("adapter", "a", "", "Name of the config adapter to apply")
	flags.String("client", "", "Client that the token is for")
	flags.String("session", "", "Session that the token belongs to")
	flags.String("id", "", "Identifier of the token (default: a random one)")
	flags.Duration("expires", time.Hour, "How long the token lives")
	flags.String("issuer", "", "Claim iss")
	flags.StringArray("audience", nil, "Claim aud")
	flags.StringArray("claim", nil, "Another claim")
	flags.String("algorithm", "", "Algorithm (default: the first that the key can do)")
	flags.String("kid", "", "Identifier of the key, for the header")
	cmd.MarkFlagsOneRequired("secret-file", "key-file", "config")
	cmd.MarkFlagsMutuallyExclusive("secret-file", "key-file", "config")
	return cmd
}

func runMint(f caddycmd.Flags) error {
	m := mintRequest{
		client: f.String("client"), session: f.String("session"), id: f.String("id"), issuer: f.String("issuer"),
		lifetime: f.Duration("expires"), algorithm: f.String("algorithm"), keyID: f.String("kid"),
		clientClaim: "sub", sessionClaim: "sid",
	}
	var err error
	if m.audiences, err = f.GetStringArray("audience"); err != nil {
		return err
	}
	if m.claims, err = f.GetStringArray("claim"); err != nil {
		return err
	}
	key, err := m.key(f)
	if err != nil {
		return err
	}
	raw, err := m.mint(key, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Println(raw)
	return err
}

// key finds the key, and in a configuration what else the token should say.
func (m *mintRequest) key(f caddycmd.Flags) (signingKey, error) {
	if name := f.String("key-file"); name != "" {
		text, err := readInput(name)
		if err != nil {
			return signingKey{}, err
		}
		return privateKey(text)
	}
	if name := f.String("secret-file"); name != "" {
		text, err := readInput(name)
		if err != nil {
			return signingKey{}, err
		}
		secret, err := decodeSecret(string(text))
		if err != nil {
			return signingKey{}, err
		}
		return secretKey(secret)
	}
	config, _, _, err := caddycmd.LoadConfig(f.String("config"), f.String("adapter"))
	if err != nil {
		return signingKey{}, err
	}
	handler, err := secretHandler(config)
	if err != nil {
		return signingKey{}, err
	}
	m.clientClaim, m.sessionClaim = orDefault(handler.ClientClaim, m.clientClaim), orDefault(handler.SessionClaim, m.sessionClaim)
	if len(handler.Issuers) > 0 {
		m.issuer = orDefault(m.issuer, handler.Issuers[0])
	}
	if len(handler.Audiences) > 0 && len(m.audiences) == 0 {
		m.audiences = handler.Audiences[:1]
	}
	secret, err := readSecret(handler.Secrets[0])
	if err != nil {
		return signingKey{}, err
	}
	return secretKey(secret)
}

// secretHandler returns the directive of a configuration that has a secret. Of several it
// cannot be told for which the token is meant.
func secretHandler(config []byte) (*Handler, error) {
	var handlers []*Handler
	if err := findHandlers(config, &handlers); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	handlers = slices.DeleteFunc(handlers, func(h *Handler) bool { return len(h.Secrets) == 0 })
	switch len(handlers) {
	case 0:
		return nil, errors.New("no token_auth of the configuration has a secret: name a key with --secret-file or --key-file")
	case 1:
		return handlers[0], nil
	}
	return nil, fmt.Errorf("%d token_auth of the configuration have a secret: name one with --secret-file", len(handlers))
}

// findHandlers collects the directives in a JSON document, wherever they are.
func findHandlers(document json.RawMessage, found *[]*Handler) error {
	var list []json.RawMessage
	var members map[string]json.RawMessage
	switch {
	case json.Unmarshal(document, &list) == nil:
		for _, item := range list {
			if err := findHandlers(item, found); err != nil {
				return err
			}
		}
		return nil
	case json.Unmarshal(document, &members) != nil:
		return nil //nolint:nilerr // a text, a number or nothing
	}
	if string(members["handler"]) == `"token_auth"` {
		h := new(Handler)
		if err := json.Unmarshal(document, h); err != nil {
			return err
		}
		*found = append(*found, h)
	}
	for _, member := range members {
		if err := findHandlers(member, found); err != nil {
			return err
		}
	}
	return nil
}
