// Logs out of the ECGrid API in the way of its documentation and goes on with the same
// credential. Prints a line per call: status, X-Session-ID and body, separated by tabs.
//
// Takes ECGRID_URL and either ECGRID_TOKEN or ECGRID_API_KEY from the environment.

const { ECGRID_URL: base, ECGRID_TOKEN: token, ECGRID_API_KEY: key } = process.env;

const credential = token ? { Authorization: `Bearer ${token}` } : { 'X-API-Key': key };

// Returns the session that the answer names, or null.
async function call(path, session, options = {}) {
  const headers = { ...credential, ...options.headers };
  if (session) {
    headers['X-Session-ID'] = session;
  }
  const response = await fetch(base + path, { ...options, headers });
  const begun = response.headers.get('X-Session-ID');
  console.log(`${response.status}\t${begun ?? ''}\t${await response.text()}`);
  return begun;
}

const mailboxes = (session) => call('/v2/mailboxes', session);

const logout = (session) =>
  call('/v2/auth/logout', session, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ success: true, data: null, errorCode: '', message: 'Session terminated.' }),
  });

if (token) {
  await logout();
  await mailboxes();
} else {
  const session = await mailboxes();
  await mailboxes(session);
  await logout(session);
  await mailboxes(session);
  await mailboxes();
  await logout();
  await mailboxes();
}
