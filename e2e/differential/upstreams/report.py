"""What an upstream tells about a request: the route that it took and what it read."""

import json
import os

ROUTES = [
    ("login", "POST", "/auth/login"),
    ("refresh", "POST", "/auth/refresh"),
    ("logout", "POST", "/auth/logout"),
    ("oauth token", "POST", "/oauth/token"),
    ("oauth logout", "POST", "/oauth/logout"),
    ("public", "GET", "/status"),
]
PREFIXES = [
    ("protected", "/v1/cards"),
    ("private", "/api/v2/private"),
    ("rpc public", "/api/v2/public"),
    ("public", "/static"),
]

_tokens = {"access_token": os.environ["ACCESS"], "refresh_token": os.environ["REFRESH"]}
ISSUED = json.dumps(
    {"success": True, "data": {**_tokens, "client_id": "issued"}, **_tokens, "token_type": "Bearer"}
)
PORT = int(os.environ["PORT"])


def _strings(value):
    if value is None:
        return []
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in [str(k), *_strings(v)]]
    if isinstance(value, (list, tuple)):
        return [s for v in value for s in _strings(v)]
    return [str(value)]


def places(headers, cookies, query, form, body):
    """Reads all places, from multi-dictionaries and the bytes of the body."""

    def both(values, name):
        return [values.get(name), (getattr(values, "getlist", None) or values.getall)(name)] if name in values else None

    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    document = document if isinstance(document, dict) else {}
    params = document.get("params")
    read = {
        "header Authorization": headers.get("Authorization"),
        "header X-Token": headers.get("X-Token"),
        "json params.access_token": params.get("access_token") if isinstance(params, dict) else None,
    }
    for name in ("token", "refresh_token", "access_token"):
        read["cookie " + name] = cookies.get(name)
    for name in ("tok", "refresh_token", "access_token"):
        read["query " + name] = both(query, name)
    for name in ("refresh_token", "access_token"):
        read["form " + name] = both(form, name)
        read["json " + name] = document.get(name)
    return read


def report(route, read):
    found = {place: _strings(value) for place, value in read.items() if _strings(value)}
    return json.dumps({"route": route, "read": found}).encode().hex()
