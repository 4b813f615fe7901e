// Fastify with its plugins for cookies and forms.
import cookie from "@fastify/cookie";
import formbody from "@fastify/formbody";
import Fastify from "fastify";
import { issued, places, report, routes } from "./report.mjs";

const app = Fastify();
await app.register(cookie);
await app.register(formbody);

const answer = (route) => (req, reply) => {
  const read = places({ headers: req.headers, cookies: req.cookies, query: req.query, body: req.body, type: req.headers["content-type"] });
  reply.header("X-Report", report(route, read)).send(issued);
};
for (const [name, method, path] of routes) app[method](path, answer(name));
app.all("/v1/cards", answer("protected"));
app.all("/v1/cards/*", answer("protected"));
app.all("/api/v2/private/*", answer("private"));
app.all("/api/v2/public/*", answer("rpc public"));
app.get("/static/*", answer("public"));
app.setNotFoundHandler(answer("other"));
await app.listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
