package fakeexchange

import (
	"errors"
	"fmt"
	"time"
)

// Defaults of Options.
const (
	// DefaultTokenLifetime is what the documented API gives as expires_in.
	DefaultTokenLifetime = 365 * 24 * time.Hour
)

// Client is who may authenticate.
type Client struct {
	// Secret is what it gives as client_secret, and signs with.
	Secret string
	// Account is the number of its account, above zero.
	Account int64
	// Subaccounts are those that public/exchange_token leads to.
	Subaccounts []int64
}

// Options configures an Exchange.
type Options struct {
	// Clients maps each client_id to its client. At least one.
	Clients map[string]Client
	// NoCancelOnDisconnect leaves the orders alone. The calls that switch it are answered
	// all the same, and nothing comes of them.
	NoCancelOnDisconnect bool
	// CloseIsGraceful keeps the orders after a close frame of the client.
	CloseIsGraceful bool
	// NoLogout leaves private/logout out.
	NoLogout bool
	// TokenLifetime is how long access tokens live, in whole seconds; refresh tokens
	// have no end. Default: DefaultTokenLifetime.
	TokenLifetime time.Duration
	// Second is how long a second of a heartbeat's interval lasts: the shortest interval
	// has ten. Default: a second.
	Second time.Duration
	// Patience is how many intervals a test_request may be left without an answer before
	// the connection is closed. Default: 1.
	Patience int
	// Now is the clock of tokens and orders. Default: time.Now.
	Now func() time.Time
}

// ErrOptions is wrapped by what New returns.
var ErrOptions = errors.New("fakeexchange: bad options")

// New returns an exchange without orders.
func New(o Options) (*Exchange, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = DefaultTokenLifetime
	}
	if o.Second == 0 {
		o.Second = time.Second
	}
	if o.Patience == 0 {
		o.Patience = 1
	}
	if o.TokenLifetime < time.Second || o.Second < 0 || o.Patience < 0 {
		return nil, fmt.Errorf("%w: a duration is too short", ErrOptions)
	}
	if len(o.Clients) == 0 {
		return nil, fmt.Errorf("%w: no clients", ErrOptions)
	}
	x := &Exchange{
		options:  o,
		accounts: make(map[int64]*account),
		tokens:   make(map[string]*token),
		sessions: make(map[sessionKey]*session),
		open:     make(map[*connection]struct{}),
	}
	x.record.changed = make(chan struct{})
	for id, client := range o.Clients {
		for _, number := range append([]int64{client.Account}, client.Subaccounts...) {
			if id == "" || client.Secret == "" || number <= 0 || x.accounts[number] != nil {
				return nil, fmt.Errorf("%w: a client needs a secret and an account of its own", ErrOptions)
			}
			x.accounts[number] = &account{number: number, client: id, orders: make(map[string]*Order)}
		}
	}
	return x, nil
}
