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
	h.lifetime = settings.lifetime
	h.dryRun, h.unproven = h.DryRun, unprovenLogouts
	var err error
	if h.allowsBound, err = allowsBound(h.SenderConstrained); err != nil {
		return fieldError("sender_constrained", err)
	}
	follows, err := followsLive(h.OnRevoked)
	if err != nil {
		return fieldError("on_revoked", err)
	}
	h.follows = follows && !h.DryRun
	if h.dialect, err = newDialect(settings.Responses, h.ResponseRules); err != nil {
		return fieldError("responses", err)
	}
	h.remembersID = settings.Responses == "deribit"
	// Whatever requests are answered with, messages are answered in JSON-RPC.
	if h.rpcDialect, err = newDialect("deribit", nil); err != nil {
		return fieldError("websocket", err)
	}
	if err := h.provisionEndpoints(&settings); err != nil {
		return err
	}
	if h.sockets, err = newSockets(settings.WebSockets); err != nil {
		return fieldError("websocket", err)
	}
	h.hasLogout = h.logout.exact != "" || h.sockets.speakRPC()
	if h.sources, err = newSources(h.From); err != nil {
		return fieldError("from", err)
	}
	if err := h.sources.pass(settings.PassSchemes); err != nil {
		return fieldError("pass_schemes", err)
	}
	if h.forward, err = newForwarder(h.ForwardIdentity); err != nil {
		return fieldError("forward_identity", err)
	}
	app, err := ctx.App("token_auth")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	h.app.raiseLifetime(h.lifetime)
	if err := h.provisionJWTs(settings.Opaque); err != nil {
		return err
	}
	if h.opaque, err = h.newOpaqueTokens(settings.Opaque); err != nil {
		return fieldError("opaque", err)
	}
	h.learns = h.opaque != nil && h.opaque.mode != opaqueIntrospect
	if err := h.checkUnused(settings); err != nil {
		return err
	}
	if h.rpc, err = newRPCPaths(settings.JSONRPC); err != nil {
		return fieldError("jsonrpc", err)
	}
	h.app.keys = append(h.app.keys, h.keySets.available)
	// Last, because they start goroutines.
	if h.apiKeys, err = h.newAPIKeys(settings.APIKey); err != nil {
		return fieldError("api_key", err)
	}
	if h.apiKeys != nil {
		h.sources.apiKey, h.sources.plain = h.apiKeys.source, false
	}
	if h.allowed, err = newAllowLists(h.AllowIPs, h.log, h.app.shared.live.readdress); err != nil {
		return fieldError("allow_ips", err)
	}
	h.app.handlers = append(h.app.handlers, h)
	return nil
}

// provisionJWTs reads the keys. Without any, no JWT is verified, which is good only where
// something else judges tokens.
func (h *Handler) provisionJWTs(config *Opaque) error {
	keys, err := h.keys()
	if err != nil {
		return err
	}
	// An authorization server that is asked about tokens need not publish its keys.
	discover := len(keys) == 0 && len(h.KeySets) == 0 && (config == nil || config.Mode != opaqueIntrospect)
	sources, err := h.keySets.acquire(h.KeySets, h.Issuers, discover)
	if err != nil {
		return err
	}
	if len(keys)+len(sources) > 0 {
		if h.verifier, err = h.newVerifier(keys, sources); err != nil {
			return fmt.Errorf("token_auth: %w", err)
		}
	} else if config == nil {
		return errors.New("token_auth: no key to verify tokens with: add secret or public_key, jwks, or an issuer that publishes its keys; " +
			"or opaque, for tokens that are not verified here")
	}
	return h.app.share(h.Realm, len(h.Issuers) > 0, keys, h.KeySets)
}

// checkUnused refuses options that would have no effect, or an unforeseen one.
func (h *Handler) checkUnused(settings Handler) error {
	for option, d := range map[string]*caddy.Duration{"leeway": h.Leeway, "iat_leeway": h.IATLeeway} {
		if d := durationOr(d, 0); d < 0 || d > revocation.MaxLeeway {
			return fieldError(option, fmt.Errorf("%s: want 0 to %s", d, revocation.MaxLeeway))
		}
	}
	introspects := settings.Opaque != nil && settings.Opaque.Mode == opaqueIntrospect
	switch {
	case h.verifier == nil && len(h.Algorithms) > 0:
		return fieldError("algorithms", errors.New("there is no key that could have one"))
	case h.verifier == nil && len(h.Types) > 0:
		return fieldError("types", errors.New("there is no key for JWTs, and other tokens have none"))
	case h.verifier == nil && !introspects && h.SenderConstrained != "":
		return fieldError("sender_constrained", errors.New("opaque tokens say nothing about it"))
	case h.verifier == nil && !introspects && len(h.Audiences) > 0:
		return fieldError("audience", errors.New("opaque tokens say nothing about it"))
	case settings.Opaque != nil && settings.Opaque.Mode == opaqueKnown && len(h.issue.access) == 0 && len(h.issue.refresh) == 0 && !h.sockets.speakRPC():
		return fieldError("opaque", errors.New("known: no login says where its answer has the tokens, so none would ever be taken"))
	}
	if _, ok := h.onlyRealm(); !ok && h.reset.configured() {
		return fieldError("reset", errors.New("with several issuers it cannot be told whose client it names: add a line realm <name>"))
	}
	return nil
}

// maxAge is how long ago a token may have been issued. The list refuses by age too, but its
// limit may be that of another API, or of another configuration, which was longer.
func (h *Handler) maxAge() time.Duration { return revocation.MaxAge(h.app.tokenLifetime(h.lifetime)) }

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

func (h *Handler) newVerifier(keys []token.VerificationKey, sources []token.Source) (*token.Verifier, error) {
	// A token that the logout could not reach is not accepted to begin with, unless it is
	// known from its issue whose it is.
	requires := func(scope revocation.Scope, learned bool) bool {
		return h.hasLogout && h.logoutScope == scope && !learned
	}
	watched := len(h.issue.access) > 0
	h.tokenMaxAge = h.maxAge()
	return token.NewVerifier(token.Config{
		Keys:           keys,
		Sources:        sources,
		Algorithms:     h.Algorithms,
		AccessTypes:    h.Types,
		Issuers:        h.Issuers,
		Audiences:      h.Audiences,
		Leeway:         durationOr(h.Leeway, defaultLeeway),
		IssuedAtLeeway: durationOr(h.IATLeeway, defaultIATLeeway),
		Realm:          h.Realm,
		ClientClaim:    h.ClientClaim,
		SessionClaim:   h.SessionClaim,
		MaxAge:         h.tokenMaxAge,
		CacheSize:      h.app.CacheSize,
		CacheMisses:    tokenMisses,
		RequireClient:  requires(revocation.ScopeClient, watched && len(h.issue.client) > 0),
		RequireSession: requires(revocation.ScopeSession, watched),

		AllowSenderConstrained: h.allowsBound,
	})
}

// allowsBound reads the option sender_constrained.
func allowsBound(option string) (bool, error) {
	switch option {
	case "", "refuse":
		return false, nil
	case "ignore":
		return true, nil
	default:
		return false, fmt.Errorf("%q: want refuse or ignore", option)
	}
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
	return decodeSecret(resolved)
}

// decodeSecret returns the bytes of a secret as it is written.
func decodeSecret(text string) ([]byte, error) {
	encoded, isBase64 := strings.CutPrefix(text, "base64:")
	if !isBase64 {
		return []byte(text), nil
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
