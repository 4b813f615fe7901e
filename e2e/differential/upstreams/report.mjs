// What an upstream tells about a request: the route that it took and what it read.

// All strings within a value: qs and JSON make arrays and objects of what a client sends.
function strings(value) {
  if (value === undefined || value === null) return [];
  if (typeof value === "object") return Object.entries(value).flatMap(([k, v]) => [k, ...strings(v)]);
  return [String(value)];
}

export const report = (route, read) => {
  const found = {};
  for (const [place, value] of Object.entries(read)) {
    const all = strings(value);
    if (all.length > 0) found[place] = all;
  }
  return Buffer.from(JSON.stringify({ route, read: found })).toString("hex");
};

// Reads all places, each in the way that users of Node's frameworks do.
export function places({ headers, cookies, query, body, type }) {
  const read = { "header Authorization": headers.authorization, "header X-Token": headers["x-token"] };
  const kind = /json/i.test(type ?? "") ? "json" : "form";
  for (const name of ["token", "refresh_token", "access_token"]) read[`cookie ${name}`] = cookies?.[name];
  for (const name of ["tok", "refresh_token", "access_token"]) read[`query ${name}`] = query?.[name];
  for (const name of ["refresh_token", "access_token"]) read[`${kind} ${name}`] = body?.[name];
  read[`${kind} params.access_token`] = body?.params?.access_token;
  return read;
}

export const routes = [
  ["login", "post", "/auth/login"],
  ["refresh", "post", "/auth/refresh"],
  ["logout", "post", "/auth/logout"],
  ["oauth token", "post", "/oauth/token"],
  ["oauth logout", "post", "/oauth/logout"],
  ["public", "get", "/status"],
];

// Tokens that every login and refresh hands out.
export const issued = (() => {
  const tokens = { access_token: process.env.ACCESS, refresh_token: process.env.REFRESH };
  return { success: true, data: { ...tokens, client_id: "issued" }, ...tokens, token_type: "Bearer" };
})();
