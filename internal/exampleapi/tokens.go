package exampleapi

import (
	"crypto/rand"
	"errors"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// kind is what a token is good for, its claim "type".
type kind string

const (
	access  kind = "access"
	refresh kind = "refresh"
)

// claims is the payload of both kinds of token.
type claims struct {
	Subject   string           `json:"sub"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	ExpiresAt *jwt.NumericDate `json:"exp"`
	ID        string           `json:"jti"`
	Type      kind             `json:"type"`
}

// The methods of jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return "", nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// pair is the data of an answer to login and refresh, in the documented order.
// Times are RFC 3339 in UTC, in whole seconds.
type pair struct {
	AccessToken      string    `json:"access_token"`
	RefreshToken     string    `json:"refresh_token"`
	AccessExpiresAt  time.Time `json:"access_expires_at"`
	RefreshExpiresAt time.Time `json:"refresh_expires_at"`
	ClientID         int64     `json:"client_id"`
}

// issuer signs tokens and verifies them. It remembers none.
type issuer struct {
	secret  []byte
	clients map[int64]bool
	now     func() time.Time
	access  time.Duration
	refresh time.Duration
}

// pair issues an access and a refresh token for a client.
func (i *issuer) pair(client int64) (pair, error) {
	now := i.now().UTC().Truncate(time.Second)
	p := pair{
		AccessExpiresAt:  now.Add(i.access).Truncate(time.Second),
		RefreshExpiresAt: now.Add(i.refresh).Truncate(time.Second),
		ClientID:         client,
	}
	var err error
	if p.AccessToken, err = i.sign(client, access, now, p.AccessExpiresAt); err != nil {
		return pair{}, err
	}
	if p.RefreshToken, err = i.sign(client, refresh, now, p.RefreshExpiresAt); err != nil {
		return pair{}, err
	}
	return p, nil
}

func (i *issuer) sign(client int64, k kind, issued, expires time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		Subject:   strconv.FormatInt(client, 10),
		IssuedAt:  jwt.NewNumericDate(issued),
		ExpiresAt: jwt.NewNumericDate(expires),
		ID:        rand.Text(),
		Type:      k,
	}).SignedString(i.secret)
}

// verify returns the client of a genuine, unexpired token of the given kind.
func (i *issuer) verify(token string, want kind) (int64, *apiError) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c,
		func(*jwt.Token) (any, error) { return i.secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(i.now),
	)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return 0, errTokenExpired
	case err != nil, c.Type != want:
		return 0, errInvalidToken
	}
	id, err := strconv.ParseInt(c.Subject, 10, 64)
	if err != nil || !i.clients[id] {
		return 0, errInvalidToken
	}
	return id, nil
}
