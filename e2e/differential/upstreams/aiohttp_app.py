"""aiohttp's server and router."""

from aiohttp import web
from report import ISSUED, PORT, PREFIXES, ROUTES, places, report


def answer(route):
    async def handler(request):
        body = await request.read()
        form = await request.post()
        read = places(request.headers, request.cookies, request.query, form, body)
        return web.Response(text=ISSUED, content_type="application/json", headers={"X-Report": report(route, read)})

    return handler


app = web.Application()
for name, method, path in ROUTES:
    app.router.add_route(method, path, answer(name))
for name, prefix in PREFIXES:
    method = "GET" if name == "public" else "*"
    app.router.add_route(method, prefix, answer(name))
    app.router.add_route(method, prefix + "/{rest:.*}", answer(name))
app.router.add_route("*", "/{rest:.*}", answer("other"))
web.run_app(app, host="127.0.0.1", port=PORT, print=None)
