"""Django with its usual middleware, on the server of wsgiref."""

import secrets
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from report import ISSUED, PORT, PREFIXES, ROUTES, places, report

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
)


def answer(route, method=None):
    @csrf_exempt
    def view(request, **_):
        name = route if method in (None, request.method) else "other"
        body = request.body
        read = places(request.headers, request.COOKIES, request.GET, request.POST, body)
        return HttpResponse(ISSUED, content_type="application/json", headers={"X-Report": report(name, read)})

    return view


urlpatterns = [path(p[1:], answer(name, method)) for name, method, p in ROUTES]
for name, prefix in PREFIXES:
    urlpatterns.append(re_path("^" + prefix[1:] + "(?:/|$)", answer(name, "GET" if name == "public" else None)))
urlpatterns.append(re_path("", answer("other")))

django.setup()
make_server("127.0.0.1", PORT, get_wsgi_application()).serve_forever()
