package fakeexchange

import "slices"

// currencies are what is traded: a perpetual contract of each.
var currencies = []string{"BTC", "ETH"}

const perpetual = "-PERPETUAL"

// currencyOf returns the currency of an instrument.
func currencyOf(instrument string) (currency string, ok bool) {
	i := slices.IndexFunc(currencies, func(c string) bool { return c+perpetual == instrument })
	if i < 0 {
		return "", false
	}
	return currencies[i], true
}

// test is public/test, which is also the answer to a test_request.
func (x *Exchange) test(c *call) (any, *rpcError) {
	if c.connection != nil {
		c.connection.beat.waiting = 0
	}
	return map[string]string{"version": "1.2.26"}, nil
}

func (x *Exchange) time(*call) (any, *rpcError) { return x.options.Now().UnixMilli(), nil }

func (x *Exchange) currencies(*call) (any, *rpcError) {
	list := make([]map[string]any, 0, len(currencies))
	for _, c := range currencies {
		list = append(list, map[string]any{
			"currency": c, "currency_long": c, "coin_type": c, "fee_precision": 4,
			"min_confirmations": 1, "withdrawal_fee": 0.0005, "withdrawal_priorities": []string{},
		})
	}
	return list, nil
}

func (x *Exchange) instruments(*call) (any, *rpcError) {
	list := make([]map[string]any, 0, len(currencies))
	for _, c := range currencies {
		list = append(list, map[string]any{
			"instrument_name": c + perpetual, "kind": "future", "future_type": "reversed", "settlement_period": "perpetual",
			"base_currency": c, "quote_currency": "USD", "counter_currency": "USD", "settlement_currency": c,
			"is_active": true, "tick_size": 0.5, "contract_size": 10, "min_trade_amount": 10, "max_leverage": 50,
			"maker_commission": 0, "taker_commission": 0.0005,
			"creation_timestamp": 1534242287000, "expiration_timestamp": 32503708800000,
		})
	}
	return list, nil
}

func (x *Exchange) accountSummary(c *call) (any, *rpcError) {
	return map[string]any{
		"id": c.caller.number, "currency": c.text("currency"), "type": "main", "username": c.caller.client,
		"balance": 10, "equity": 10, "available_funds": 10, "maintenance_margin": 0, "initial_margin": 0, "margin_balance": 10,
	}, nil
}
