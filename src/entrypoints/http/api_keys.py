"""API keys as bearer tokens: settled once a request, before routing."""

import re
from typing import Final

from adapters.security.api_key_directory import ApiKeyDirectory
from domain.shared.actor import Actor
from domain.shared.errors import PosternError
from entrypoints.http.exchange import Application, Exchange, Receive, Scope, Send

_API_KEY: Final = re.compile(rb"bearer +(pk_[A-Za-z0-9]+)", re.IGNORECASE)


class ApiKeyDoor:
    """Settles, before routing, for whom the API key of a request speaks; whoever asks the `Authenticator` is told.

    Here, because it may have to wait, which the authenticator never does. A bad key is only refused where somebody
    asks who is calling, as a bad access token is.
    """

    def __init__(self, app: Application, directory: ApiKeyDirectory) -> None:
        self._app = app
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange = Exchange.of(scope)
            credentials = exchange.fields.get(b"authorization")
            if credentials is not None:
                match = _API_KEY.fullmatch(credentials)
                if match is not None:
                    exchange.api_key = await self._settle(match[1].decode("ascii"))
        await self._app(scope, receive, send)

    async def _settle(self, text: str) -> Actor | PosternError:
        try:
            return await self._directory.actor(text)
        except PosternError as error:
            return error
