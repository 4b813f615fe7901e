// Trades with ccxt, over HTTP and on a WebSocket, until its connection is cut; then it
// connects again and trades once more. Each line that it prints is a JSON document: first
// the token of the WebSocket, then, once it was told to go on by a line of input, what it
// knows of its orders, and at last how the connection ended.
//
// Environment: EXCHANGE_HOST, CLIENT_ID, CLIENT_SECRET.
import process from 'node:process';
import readline from 'node:readline';
import ccxt from 'ccxt';

const { EXCHANGE_HOST, CLIENT_ID, CLIENT_SECRET } = process.env;
const print = (document) => console.log(JSON.stringify(document));
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const symbol = 'BTC/USD:BTC';

const exchange = new ccxt.pro.deribit({
  apiKey: CLIENT_ID,
  secret: CLIENT_SECRET,
  enableRateLimit: false,
  urls: { api: { rest: `http://${EXCHANGE_HOST}`, ws: `ws://${EXCHANGE_HOST}/ws/api/v2` } },
  options: { ws: { backoff: { base: 1 } } },
});

// trade gives an order over HTTP and learns of it on the WebSocket.
async function trade() {
  const { result } = await exchange.authenticate();
  print({ token: result.access_token });
  const told = exchange.watchOrders(symbol);
  await input.next(); // until the exchange knows who is to be told
  const { id } = await exchange.createOrder(symbol, 'limit', 'buy', 10, 100);
  const order = (await told).find((o) => o.id === id);
  const open = await exchange.fetchOpenOrders(symbol);
  print({ told: order.status, open: open.length });
}

await exchange.loadHttpProxyAgent(); // ccxt wants it before a URL without TLS
await exchange.loadMarkets();
await trade();
try {
  await exchange.watchOrders(symbol);
  print({ error: 'told of an order that nobody gave' });
} catch (error) {
  print({ error: error.constructor.name, message: error.message });
}
await trade();
await exchange.close();
process.exit();
