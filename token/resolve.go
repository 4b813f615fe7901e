package token

import (
	"context"
	"errors"
	"slices"
)

// checkSignature returns the life of the key that signed raw. It asks the sources for
// a key that it does not have.
func (v *Verifier) checkSignature(ctx context.Context, raw string, h header, c compact, payload []byte) (*life, error) {
	static := v.static.candidates(h)
	if !v.sources.any {
		return v.try(raw, h, c, static)
	}
	sources, err := v.sources.of(payload)
	switch {
	case err != nil:
		return nil, err
	case len(sources) == 0 && len(v.static.keys) == 0:
		// There is no key for such an issuer, and never will be.
		return nil, ErrIssuer
	}

	rings := make([]*keySet, len(sources))
	signer, missing, err := v.trySources(raw, h, c, static, sources, rings)
	if !missing {
		return signer, err
	}
	var failure error
	for i, source := range sources {
		if refetchErr := source.Refetch(ctx, h.kid); refetchErr != nil {
			// A token without kid does not name a key that could be missing.
			if h.kid != "" || rings[i] == nil {
				failure = refetchErr
			}
			continue
		}
		if source.Keys().current.Load() == rings[i] {
			continue
		}
		if signer, missing, err = v.trySources(raw, h, c, static, sources, rings); !missing {
			return signer, err
		}
	}
	switch {
	case failure != nil:
		return nil, failure
	case slices.Contains(rings, nil):
		return nil, ErrKeysUnavailable
	}
	return nil, err
}

// trySources checks the signature with the static candidates and the present keys of
// sources, which it notes in rings. missing says that the signature is not good, and
// that a key which is not there may be why.
func (v *Verifier) trySources(raw string, h header, c compact, keys candidates, sources []KeySource, rings []*keySet,
) (signer *life, missing bool, err error) {
	unavailable := false
	for i, source := range sources {
		if rings[i] = source.Keys().current.Load(); rings[i] == nil {
			unavailable = true
			continue
		}
		keys = keys.with(rings[i].candidates(h))
	}
	if signer, err = v.try(raw, h, c, keys); err == nil {
		return signer, false, nil
	}
	return nil, errors.Is(err, ErrSignature) && (unavailable || !keys.names(h.kid)), err
}

// try checks the signature with keys.
func (v *Verifier) try(raw string, h header, c compact, keys candidates) (*life, error) {
	if len(keys.keys) == 0 {
		return nil, ErrUnknownKey
	}
	return v.signatures.check(raw, h, c, keys)
}
