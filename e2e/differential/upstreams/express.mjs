// Express and its usual middleware: express.mjs <package>, of express and express4.
import cookieParser from "cookie-parser";
import { issued, places, report, routes } from "./report.mjs";

const { default: express } = await import(process.argv[2]);
const app = express();
app.use(express.json(), express.urlencoded({ extended: true }), cookieParser());

const answer = (route) => (req, res) => {
  const read = places({ headers: req.headers, cookies: req.cookies, query: req.query, body: req.body, type: req.get("content-type") });
  res.set("X-Report", report(route, read)).json(issued);
};
for (const [name, method, path] of routes) app[method](path, answer(name));
app.all("/v1/cards", answer("protected"));
app.use("/v1/cards", answer("protected"));
app.use("/api/v2/private", answer("private"));
app.use("/api/v2/public", answer("rpc public"));
app.use("/static", answer("public"));
app.use(answer("other"));
app.use((err, req, res, next) => res.status(400).json({ error: String(err.message) }));
app.listen(Number(process.env.PORT), "127.0.0.1");
