package caddymodule

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

const (
	defaultLeeway    = 30 * time.Second
	defaultIATLeeway = 5 * time.Second

	// maxKeyFile bounds a file of public keys.
	maxKeyFile = 1 << 20
)

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	h.refusals = sampled(h.log)
	if err := checkPreset(h.API); err != nil {
		return fieldError("api", err)
	}
	settings := h.effective()
	var err error
	if h.dialect, err = newDialect(settings.format, h.ResponseRules); err != nil {
		return fieldError("responses", err)
	}
	if err := h.provisionEndpoints(settings); err != nil {
		return err
	}
	if h.sources, err = newSources(h.From); err != nil {
		return fieldError("from", err)
	}
	if h.forward, err = newForwarder(h.ForwardIdentity); err != nil {
		return fieldError("forward_identity", err)
	}
	keys, err := h.keys()
	if err != nil {
		return err
	}
	sources, err := h.keySets.acquire(h.KeySets, h.Issuers, len(keys) == 0 && len(h.KeySets) == 0)
	if err != nil {
		return err
	}
	if len(keys) == 0 && len(sources) == 0 {
		return errors.New("token_auth: no key to verify tokens with: add secret or public_key, jwks, or an issuer that publishes its keys")
	}
	app, err := ctx.App("token_auth")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if h.verifier, err = h.newVerifier(keys, sources); err != nil {
		return fmt.Errorf("token_auth: %w", err)
	}
	if err := h.app.share(h.Realm, len(h.Issuers) > 0, keys, h.KeySets); err != nil {
		return err
	}
	// Last, because it starts a goroutine.
	if h.allowed, err = newAllowLists(h.AllowIPs, h.log); err != nil {
		return fieldError("allow_ips", err)
	}
	return nil
}

// newDialect returns the named format with the given rules on top of it.
func newDialect(name string, rules []dialect.Rule) (dialect.Dialect, error) {
	base, err := dialect.Named(name)
	if err != nil || len(rules) == 0 {
		return base, err
	}
	return dialect.NewCustom(base, rules)
}

// sampled returns log with at most ten equal lines a second, and then one in a
// thousand: while the store is down, every request is refused.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 10, 1000)
	}))
}

// provisionEndpoints reads everything that has to do with paths.
func (h *Handler) provisionEndpoints(settings effective) error {
	var err error
	for _, e := range []struct {
		option string
		path   string
		to     *endpoint
	}{
		{"login", settings.login.Path, &h.login},
		{"refresh", settings.refresh.Path, &h.refreshAt},
		{"logout", settings.logout.Path, &h.logout},
	} {
		if e.path == "" {
			continue
		}
		if *e.to, err = newEndpoint(e.path); err != nil {
			return fieldError(e.option, err)
		}
	}
	if h.paths, err = newAnswerPaths(settings.login); err != nil {
		return fieldError("login", err)
	}
	if settings.refresh.Path != "" && settings.refresh.Token == "" {
		return fieldError("refresh", errors.New("where the request has the refresh token is not named: add a line token <json path>"))
	}
	if h.refreshField, err = parseJSONPath(settings.refresh.Token); err != nil {
		return fieldError("refresh", err)
	}
	h.paths.rotate = settings.refresh.Rotate == nil || *settings.refresh.Rotate
	if h.logoutScope, err = revocation.ParseScope(settings.logout.Scope); err != nil {
		return fieldError("logout", err)
	}
	if h.public, err = newPublicPaths(h.Public); err != nil {
		return fieldError("public", err)
	}
	if h.passPreflight, err = passesPreflight(h.CORSPreflight); err != nil {
		return fieldError("cors_preflight", err)
	}
	return h.checkDistinct()
}

// passesPreflight reads the option cors_preflight.
func passesPreflight(option string) (bool, error) {
	switch option {
	case "", "pass":
		return true, nil
	case "check":
		return false, nil
	default:
		return false, fmt.Errorf("%q: want pass or check", option)
	}
}

// checkDistinct refuses two endpoints that a request could not tell apart.
func (h *Handler) checkDistinct() error {
	names := []string{"login", "refresh", "logout"}
	endpoints := []endpoint{h.login, h.refreshAt, h.logout}
	for i, a := range endpoints {
		for j, b := range endpoints[:i] {
			if a.exact != "" && strings.EqualFold(a.loose, b.loose) {
				return fieldError(names[i], fmt.Errorf("path %q is also that of %s", a.exact, names[j]))
			}
		}
	}
	return nil
}

func (h *Handler) newVerifier(keys []token.VerificationKey, sources []token.Source) (*token.Verifier, error) {
	duration := func(d *caddy.Duration, otherwise time.Duration) time.Duration {
		if d == nil {
			return otherwise
		}
		return time.Duration(*d)
	}
	return token.NewVerifier(token.Config{
		Keys:           keys,
		Sources:        sources,
		Algorithms:     h.Algorithms,
		Issuers:        h.Issuers,
		Audiences:      h.Audiences,
		Leeway:         duration(h.Leeway, defaultLeeway),
		IssuedAtLeeway: duration(h.IATLeeway, defaultIATLeeway),
		Realm:          h.Realm,
		ClientClaim:    h.ClientClaim,
		SessionClaim:   h.SessionClaim,
		MaxAge:         h.app.maxAge(),
		CacheSize:      h.app.CacheSize,
		// A token that the logout could not reach is not accepted to begin with.
		RequireClient:  h.logout.exact != "" && h.logoutScope == revocation.ScopeClient,
		RequireSession: h.logout.exact != "" && h.logoutScope == revocation.ScopeSession,
	})
}

// keys returns the configured keys. Their secrets stay in unexported fields.
func (h *Handler) keys() ([]token.VerificationKey, error) {
	var keys []token.VerificationKey
	for _, text := range h.Secrets {
		secret, err := readSecret(text)
		if err != nil {
			return nil, fieldError("secret", err)
		}
		key, err := token.NewHMACKey(secret)
		if err != nil {
			return nil, fieldError("secret", err)
		}
		keys = append(keys, key)
	}
	for _, text := range h.PublicKeys {
		pem, err := readPEM(text)
		if err != nil {
			return nil, fieldError("public_key", err)
		}
		parsed, err := token.ParsePublicKeys(pem)
		if err != nil {
			return nil, fieldError("public_key", err)
		}
		keys = append(keys, parsed...)
	}
	return keys, nil
}

// replace resolves the placeholders of a configured value. One that is unknown or
// comes out empty is an error: a file that cannot be read gives an empty string.
// The error names the placeholder and never what came out.
func replace(text string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(resolved) == "" {
		return "", errors.New("the value is empty")
	}
	return resolved, nil
}

// readSecret returns the bytes of a configured secret.
func readSecret(text string) ([]byte, error) {
	resolved, err := replace(text)
	if err != nil {
		return nil, err
	}
	encoded, isBase64 := strings.CutPrefix(resolved, "base64:")
	if !isBase64 {
		return []byte(resolved), nil
	}
	encoded = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSpace(encoded)), "=")
	secret, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows base64: is not base64")
	}
	return secret, nil
}

// readPEM returns PEM text: the value itself, or the content of the file that it names.
func readPEM(text string) ([]byte, error) {
	resolved, err := replace(text)
	if err != nil {
		return nil, err
	}
	if strings.Contains(resolved, "-----BEGIN") {
		return []byte(resolved), nil
	}
	file, err := os.Open(resolved)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	pem, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", resolved, err)
	case len(pem) > maxKeyFile:
		return nil, fmt.Errorf("%s: larger than %d bytes", resolved, maxKeyFile)
	case !bytes.Contains(pem, []byte("-----BEGIN")):
		return nil, fmt.Errorf("%s: not a PEM file", resolved)
	}
	return pem, nil
}
