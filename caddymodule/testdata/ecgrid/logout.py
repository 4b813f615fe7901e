"""Logs out of the ECGrid API in the way of its documentation and goes on with the same
credential. Prints a line per call: status, X-Session-ID and body, separated by tabs.

Takes ECGRID_URL and either ECGRID_TOKEN or ECGRID_API_KEY from the environment. With
ECGRID_COOKIES a cookie jar keeps the session of an API key.
"""

import os

import requests

BASE = os.environ["ECGRID_URL"]
TOKEN = os.environ.get("ECGRID_TOKEN")
KEY = os.environ.get("ECGRID_API_KEY")
CREDENTIAL = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {"X-API-Key": KEY}
BODY = {"success": True, "data": None, "errorCode": "", "message": "Session terminated."}


def call(method, path, session, via, **options):
    """Returns the session that the answer names, or None."""
    headers = dict(CREDENTIAL)
    if session:
        headers["X-Session-ID"] = session
    response = via.request(method, BASE + path, headers=headers, timeout=20, **options)
    begun = response.headers.get("X-Session-ID")
    print(response.status_code, begun or "", response.text, sep="\t")
    return begun


def mailboxes(session=None, via=requests):
    return call("GET", "/v2/mailboxes", session, via)


def logout(session=None, via=requests):
    return call("POST", "/v2/auth/logout", session, via, json=BODY)


def by_token():
    logout()
    mailboxes()


def by_session_header():
    session = mailboxes()
    mailboxes(session)
    logout(session)
    mailboxes(session)


def by_session_cookie():
    with requests.Session() as jar:
        mailboxes(via=jar)
        mailboxes(via=jar)
        logout(via=jar)
        mailboxes(via=jar)
        mailboxes(via=jar)


if TOKEN:
    by_token()
else:
    if os.environ.get("ECGRID_COOKIES"):
        by_session_cookie()
    else:
        by_session_header()
        mailboxes()
    logout()
    mailboxes()
