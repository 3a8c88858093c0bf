"""The few pages for people: the index, the problems, and the two readers of the OpenAPI document."""

import re
from html import escape
from string import Template
from typing import Final

from entrypoints.http.edge.exchange import HTML_TYPE, NO_STORE, Headers, PageResponse, Response

_PAGE_POLICY: Final = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
_FRAMES: Final = "; frame-ancestors 'none'"

EMPTY_STYLE: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""The hash of nothing: lets an empty `<style>` element in, which Redoc then fills rule by rule through the CSSOM."""

SCROLL_BAR_STYLE: Final = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
"""The hash of the one `<style>` with content that Redoc puts in, for its scroll bars. It belongs to the release that a
test pins; for another one, the console of a browser names the new hash."""

SWAGGER_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
REDOC_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {EMPTY_STYLE} {SCROLL_BAR_STYLE}; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)

_SHELL: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="/favicon.ico" sizes="any">
<link rel="stylesheet" href="$assets/$style">
</head>
<body>
$body
</body>
</html>
""")


def html_page(
    title: str, body: str, *, assets: str, style: str = "postern.css", policy: str = _PAGE_POLICY
) -> Response:
    """Return a page. `title` is text; `body` is HTML, escaped by whoever made it."""
    page = _SHELL.substitute(title=escape(title), body=body, assets=assets, style=style)
    headers = (
        HTML_TYPE,
        (b"cache-control", b"no-cache"),
        (b"vary", b"Accept, Accept-Encoding"),
        (b"content-security-policy", (policy + _FRAMES).encode()),
    )
    return PageResponse(200, page.encode(), headers)


def private_page(title: str, body: str, *, assets: str, status: int = 200, headers: Headers = ()) -> Response:
    """Return a page for one reader, with a form at the most: nothing on the way keeps it, and it leads nowhere else."""
    page = _SHELL.substitute(title=escape(title), body=body, assets=assets, style="postern.css")
    policy = _PAGE_POLICY.replace("form-action 'none'", "form-action 'self'") + _FRAMES
    own = (HTML_TYPE, NO_STORE, (b"content-security-policy", policy.encode()))
    return PageResponse(status, page.encode(), (*own, *headers))


def swagger_page(assets: str) -> Response:
    body = (
        '<div id="swagger-ui"><noscript>This page needs JavaScript; the document itself is at '
        '<a href="/openapi.json">/openapi.json</a>.</noscript></div>\n'
        f'<script src="{assets}/swagger-ui-bundle.js"></script>\n'
        f'<script src="{assets}/swagger-start.js"></script>'
    )
    return html_page("Postern API", body, assets=assets, style="swagger-ui.css", policy=SWAGGER_POLICY)


def redoc_page(assets: str) -> Response:
    body = (
        '<div id="redoc"><noscript>This page needs JavaScript; the document itself is at '
        '<a href="/openapi.json">/openapi.json</a>.</noscript></div>\n'
        f'<script src="{assets}/redoc.standalone.js"></script>\n'
        f'<script src="{assets}/redoc-start.js"></script>'
    )
    return html_page("Postern API reference", body, assets=assets, style="redoc.css", policy=REDOC_POLICY)


def prose(words: str) -> str:
    """Return HTML of a sentence; what stands between backticks is code, as in the API's document."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(words))


def prefers_html(accept: str | None) -> bool:
    """Tell whether a browser is asking: it names text/html itself, while programs leave it at `*/*` or JSON."""
    return accept is not None and "text/html" in accept.lower()
