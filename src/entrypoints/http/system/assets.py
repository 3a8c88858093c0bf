"""The files behind the documentation pages: Swagger UI and Redoc out of their package, and our own few."""

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from application.shared.pending import Pending
from entrypoints.http.edge.compression import VARY
from entrypoints.http.edge.conditional import FixedRepresentation, bytes_tag
from entrypoints.http.edge.exchange import Exchange, Response

_SIDECAR: Final = "drf_spectacular_sidecar"

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}

_VENDORED: Final = {
    "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
    "swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt",
    "redoc.standalone.js": "redoc/bundles/redoc.standalone.js",
    "redoc.standalone.js.LICENSE.txt": "redoc/bundles/redoc.standalone.js.LICENSE.txt",
}
_OWN: Final = ("postern.css", "postern.svg", "redoc.css", "redoc-start.js", "swagger-start.js")

FAVICON: Final = "postern.svg"


_FOREVER: Final = "public, max-age=31536000, immutable"
_A_DAY: Final = "public, max-age=86400"


class Asset:
    """A file ready for the wire, plain and compressed."""

    __slots__ = ("_representation", "body", "content_type", "etag")

    def __init__(self, body: bytes, content_type: str, cache_control: str) -> None:
        self.body = body
        self.content_type = content_type
        self.etag = bytes_tag(body)
        self._representation = FixedRepresentation(
            body,
            self.etag,
            ((b"cache-control", cache_control.encode()), VARY),
            (b"content-type", content_type.encode()),
        )

    def response(self, exchange: Exchange) -> Pending[Response]:
        """Return the answer to who asks for it. It is compressed once a process, when that is first asked for."""
        return self._representation.response(exchange)


def assets_version(app_version: str) -> str:
    """Return what stands in the path of every asset, so that each may be kept for ever and none is ever old."""
    return f"{app_version}-{version('drf-spectacular-sidecar')}"


def asset_names() -> frozenset[str]:
    return frozenset({*_VENDORED, *_OWN})


@cache
def asset(name: str) -> Asset:
    """Read a file, once a process: some 3 MiB all together. Raises `KeyError` for one that is not on the list."""
    return Asset(_body(name), _type(name), _FOREVER)


@cache
def favicon() -> Asset:
    """Return the icon under the name that browsers ask for unasked, which is the same in every release."""
    return Asset(_body(FAVICON), _type(FAVICON), _A_DAY)


def _type(name: str) -> str:
    return _TYPES[name.rpartition(".")[2]]


def _body(name: str) -> bytes:
    if name in _OWN:
        body = (files("entrypoints.http.system") / "files" / name).read_bytes()
    else:
        body = (_vendored() / _VENDORED[name]).read_bytes()
    if name == "redoc.standalone.js":
        # The one thing that Redoc fetches from elsewhere, at the foot of its menu.
        body = body.replace(b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"/favicon.ico")
    return body


def _vendored() -> Traversable:
    """Return the folder of the package, found without importing it: its `__init__` is a Django app."""
    spec = find_spec(_SIDECAR)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{_SIDECAR} is not installed")
    return Path(spec.origin).parent / "static" / _SIDECAR
