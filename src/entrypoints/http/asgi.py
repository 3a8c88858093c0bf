"""Where the server begins: `entrypoints.http.asgi:create` is the factory of the application."""

from entrypoints.container import Container
from entrypoints.http.app import create_app
from entrypoints.http.edge.exchange import Application
from entrypoints.settings import Settings


def create() -> Application:
    """Read the settings and build the application. Raises `BadSettings`."""
    return create_app(Container(settings=Settings.load()))
