"""Flask on Werkzeug's server."""

import flask
from report import ISSUED, PORT, PREFIXES, ROUTES, places, report

app = flask.Flask(__name__, static_folder=None)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def answer(route):
    def view(**_):
        request = flask.request
        form = request.form
        body = request.get_data() if not form else b""
        read = places(request.headers, request.cookies, request.args, form, body)
        return flask.Response(ISSUED, mimetype="application/json", headers={"X-Report": report(route, read)})

    return view


for name, method, path in ROUTES:
    app.add_url_rule(path, name, answer(name), methods=[method])
for name, prefix in PREFIXES:
    methods = ["GET"] if name == "public" else METHODS
    app.add_url_rule(prefix, prefix, answer(name), methods=methods)
    app.add_url_rule(prefix + "/<path:rest>", prefix + "/", answer(name), methods=methods)
app.register_error_handler(404, lambda _: answer("other")())

app.run("127.0.0.1", PORT)
