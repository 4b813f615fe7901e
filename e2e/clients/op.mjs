// An OpenID provider, the npm package oidc-provider, that issues opaque access tokens to
// one client and answers the sidecar's questions about them. It prints one JSON document,
// with its issuer, and ends with its standard input.
//
// Environment: CLIENT_ID, CLIENT_SECRET, SIDECAR_ID, SIDECAR_SECRET.
import http from 'node:http';
import process from 'node:process';
import { Provider } from 'oidc-provider';

const { CLIENT_ID, CLIENT_SECRET, SIDECAR_ID, SIDECAR_SECRET } = process.env;

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const client = (id, secret, grants) => ({
    client_id: id, client_secret: secret, grant_types: grants, redirect_uris: [], response_types: [],
  });
  const provider = new Provider(issuer, {
    clients: [
      client(CLIENT_ID, CLIENT_SECRET, ['client_credentials']),
      client(SIDECAR_ID, SIDECAR_SECRET, []),
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: async () => true },
    },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume().on('end', () => process.exit());
