package fakeexchange

import "strings"

// Scopes of Cancel On Disconnect.
const (
	scopeConnection = "connection"
	scopeAccount    = "account"
)

// setting returns where the setting of a scope is kept.
func (c *call) setting() (**bool, string, *rpcError) {
	switch scope := c.text("scope"); scope {
	case "", scopeConnection:
		return &c.connection.cancelOrders, scopeConnection, nil
	case scopeAccount:
		return &c.caller.cancel, scopeAccount, nil
	}
	return nil, "", badParam("scope")
}

// switchCancel is private/enable_cancel_on_disconnect and private/disable_….
func (x *Exchange) switchCancel(c *call) (any, *rpcError) {
	setting, _, failure := c.setting()
	if failure != nil {
		return nil, failure
	}
	*setting = new(strings.Contains(c.method, "/enable_"))
	return "ok", nil
}

// getCancel is private/get_cancel_on_disconnect.
func (x *Exchange) getCancel(c *call) (any, *rpcError) {
	setting, scope, failure := c.setting()
	if failure != nil {
		return nil, failure
	}
	enabled := *setting != nil && **setting
	if scope == scopeConnection {
		enabled = c.connection.cancels(c.caller)
	}
	return map[string]any{"scope": scope, "enabled": enabled}, nil
}

// cancels reports whether the orders of an account that were given on a connection are
// cancelled when it is lost.
func (c *connection) cancels(a *account) bool {
	switch {
	case c.cancelOrders != nil:
		return *c.cancelOrders
	case a.cancel != nil:
		return *a.cancel
	}
	return false
}

// cancelOrders cancels the orders that were given on a connection, where that is wanted.
// x.mu is held.
func (x *Exchange) cancelOrders(c *connection) {
	if x.options.NoCancelOnDisconnect {
		return
	}
	for _, a := range x.accounts {
		if !c.cancels(a) {
			continue
		}
		for _, o := range a.list(func(o *Order) bool { return o.Connection == c.number }) {
			x.drop(a.orders[o.ID])
		}
	}
}
