package fakeexchange

import "strings"

// subscribe is public/subscribe and private/subscribe.
func (x *Exchange) subscribe(c *call) (any, *rpcError) {
	channels, failure := c.texts("channels")
	if failure != nil {
		return nil, failure
	}
	if len(c.connection.channels)+len(channels) > maxChannels {
		return nil, errTooMany
	}
	taken := make([]string, 0, len(channels))
	for _, channel := range channels {
		if strings.HasPrefix(channel, "user.") && c.caller == nil {
			continue // the API leaves out what the caller may not have
		}
		c.connection.channels[channel] = c.caller
		taken = append(taken, channel)
	}
	return taken, nil
}

// unsubscribe is public/unsubscribe and private/unsubscribe.
func (x *Exchange) unsubscribe(c *call) (any, *rpcError) {
	channels, failure := c.texts("channels")
	if failure != nil {
		return nil, failure
	}
	for _, channel := range channels {
		delete(c.connection.channels, channel)
	}
	return channels, nil
}

// Publish sends something to all who have subscribed to a public channel. It returns how
// many there are; who does not read what is sent to it is closed.
func (x *Exchange) Publish(channel string, something any) int {
	x.mu.Lock()
	var to []*connection
	for c := range x.open {
		if _, ok := c.channels[channel]; ok {
			to = append(to, c)
		}
	}
	x.mu.Unlock()
	for _, c := range to {
		c.publish(channel, something)
	}
	return len(to)
}

// announce sends an order, as it is, to the subscriptions of its account. x.mu is held.
func (x *Exchange) announce(o *Order) {
	for c := range x.open {
		for channel, a := range c.channels {
			if a == o.account && strings.HasPrefix(channel, "user.orders.") {
				c.publish(channel, *o)
			}
		}
	}
}

func (c *connection) publish(channel string, something any) {
	c.notify("subscription", map[string]any{"channel": channel, "data": something})
}
