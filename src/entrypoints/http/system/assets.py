"""The files behind the documentation pages: Swagger UI and Redoc out of their package, and our own few."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from entrypoints.http.conditional import bytes_tag

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


@dataclass(frozen=True, slots=True)
class Asset:
    """A file ready for the wire."""

    body: bytes
    content_type: str
    etag: str


def assets_version(app_version: str) -> str:
    """Return what stands in the path of every asset, so that each may be kept for ever and none is ever old."""
    return f"{app_version}-{version('drf-spectacular-sidecar')}"


def asset_names() -> frozenset[str]:
    return frozenset({*_VENDORED, *_OWN})


@cache
def asset(name: str) -> Asset:
    """Read a file, once a process: some 3 MiB all together. Raises `KeyError` for one that is not on the list."""
    if name in _OWN:
        body = (files("entrypoints.http.system") / "files" / name).read_bytes()
    else:
        body = (_vendored() / _VENDORED[name]).read_bytes()
    if name == "redoc.standalone.js":
        # The one thing that Redoc fetches from elsewhere, at the foot of its menu.
        body = body.replace(b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"/favicon.ico")
    return Asset(body, _TYPES[name.rpartition(".")[2]], bytes_tag(body))


def _vendored() -> Traversable:
    """Return the folder of the package, found without importing it: its `__init__` is a Django app."""
    spec = find_spec(_SIDECAR)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{_SIDECAR} is not installed")
    return Path(spec.origin).parent / "static" / _SIDECAR
