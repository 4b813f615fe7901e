// A client of an API of the Deribit kind, with the npm package ws. It authenticates, makes
// a call, and then leaves by private/logout or waits to be cut. Each line that it prints is
// a JSON document: first the tokens and the account, then how the connection was closed.
//
// Environment: EXCHANGE_URL, CLIENT_ID, CLIENT_SECRET; LOGOUT is set if it is to leave, and
// AUTHORIZATION is sent with the handshake.
import process from 'node:process';
import WebSocket from 'ws';

const { EXCHANGE_URL, CLIENT_ID, CLIENT_SECRET, LOGOUT, AUTHORIZATION } = process.env;
const print = (document) => console.log(JSON.stringify(document));

const socket = new WebSocket(EXCHANGE_URL, { headers: AUTHORIZATION ? { authorization: AUTHORIZATION } : {} });
const waiting = new Map();
let serial = 0;

function send(method, params = {}) {
  serial += 1;
  socket.send(JSON.stringify({ jsonrpc: '2.0', id: serial, method, params }));
  return serial;
}

function call(method, params) {
  return new Promise((resolve, reject) => waiting.set(send(method, params), { resolve, reject }));
}

socket.on('message', (data) => {
  const { id, result, error } = JSON.parse(data);
  const { resolve, reject } = waiting.get(id);
  if (error) {
    reject(new Error(JSON.stringify(error)));
  } else {
    resolve(result);
  }
});
socket.on('close', (code, reason) => print({ code, reason: reason.toString() }));
socket.on('open', async () => {
  const { access_token: token } = await call('public/auth', {
    grant_type: 'client_credentials', client_id: CLIENT_ID, client_secret: CLIENT_SECRET, scope: 'session:node',
  });
  const { id: account } = await call('private/get_account_summary', { currency: 'BTC' });
  print({ token, account });
  if (LOGOUT) {
    send('private/logout', { access_token: token });
  }
});
