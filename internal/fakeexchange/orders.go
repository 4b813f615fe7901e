package fakeexchange

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Order is an order that rests until it is cancelled.
type Order struct {
	ID         string  `json:"order_id"`
	Instrument string  `json:"instrument_name"`
	Direction  string  `json:"direction"`
	Amount     float64 `json:"amount"`
	Filled     float64 `json:"filled_amount"`
	Price      float64 `json:"price"`
	Label      string  `json:"label"`
	Type       string  `json:"order_type"`
	State      string  `json:"order_state"`
	InForce    string  `json:"time_in_force"`
	Created    int64   `json:"creation_timestamp"`
	Updated    int64   `json:"last_update_timestamp"`

	// Connection is the number of the connection that it was given on, 0 over HTTP.
	Connection int64 `json:"-"`

	account *account
	serial  int64
}

// OpenOrders returns the open orders of an account, the oldest first.
func (x *Exchange) OpenOrders(account int64) []Order {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := x.accounts[account]
	if a == nil {
		return nil
	}
	return a.list(func(*Order) bool { return true })
}

func (a *account) list(match func(*Order) bool) []Order {
	list := make([]Order, 0, len(a.orders))
	for o := range maps.Values(a.orders) {
		if match(o) {
			list = append(list, *o)
		}
	}
	slices.SortFunc(list, func(a, b Order) int { return cmp.Compare(a.serial, b.serial) })
	return list
}

// order is private/buy and private/sell. Nothing ever matches.
func (x *Exchange) order(c *call) (any, *rpcError) {
	instrument := c.text("instrument_name")
	currency, ok := currencyOf(instrument)
	if !ok {
		return nil, badParam("instrument_name")
	}
	amount, failure := c.number("amount")
	if failure != nil {
		return nil, failure
	}
	price, failure := c.number("price")
	if failure != nil {
		return nil, failure
	}
	a := c.caller
	if len(a.orders) >= maxOrders {
		return nil, errTooMany
	}
	x.serial++
	serial, now := x.serial, x.options.Now().UnixMilli()
	o := &Order{
		ID: currency + "-" + strconv.FormatInt(serial, 10), Instrument: instrument,
		Direction: strings.TrimPrefix(c.method, "private/"), Amount: amount, Price: price, Label: c.text("label"),
		Type: "limit", State: "open", InForce: "good_til_cancelled", Created: now, Updated: now,
		account: a, serial: serial,
	}
	if c.connection != nil {
		o.Connection = c.connection.number
	}
	a.orders[o.ID] = o
	x.announce(o)
	return map[string]any{"order": *o, "trades": []string{}}, nil
}

// drop cancels an open order. x.mu is held.
func (x *Exchange) drop(o *Order) {
	delete(o.account.orders, o.ID)
	o.State, o.Updated = "cancelled", x.options.Now().UnixMilli()
	x.record.add(Event{Kind: Cancelled, Connection: o.Connection, Account: o.account.number, Order: o.ID})
	x.announce(o)
}

func (x *Exchange) cancelOne(c *call) (any, *rpcError) {
	o := c.caller.orders[c.text("order_id")]
	if o == nil {
		return nil, badParam("order_id")
	}
	x.drop(o)
	return *o, nil
}

func (x *Exchange) cancelAll(c *call) (any, *rpcError) {
	n := len(c.caller.orders)
	for _, o := range slices.Collect(maps.Values(c.caller.orders)) {
		x.drop(o)
	}
	return n, nil
}

func (x *Exchange) openOrders(c *call) (any, *rpcError) {
	currency, instrument := c.text("currency"), c.text("instrument_name")
	return c.caller.list(func(o *Order) bool {
		of, _ := currencyOf(o.Instrument)
		return (currency == "" || strings.EqualFold(currency, of)) && (instrument == "" || instrument == o.Instrument)
	}), nil
}
