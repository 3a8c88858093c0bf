"""API keys as bearer tokens: settled once a request, before anybody asks who is calling."""

import re
from typing import Final

from adapters.security.api_key_directory import ApiKeyDirectory
from domain.shared.actor import Actor
from domain.shared.errors import PosternError
from entrypoints.http.edge.exchange import Exchange

_API_KEY: Final = re.compile(rb"bearer +(pk_[A-Za-z0-9]+)", re.IGNORECASE)


class ApiKeyDoor:
    """Settles for whom the API key of a request speaks; whoever asks the `Authenticator` is told.

    Here, because it may have to wait, which the authenticator never does. A bad key is only refused where somebody
    asks who is calling, as a bad access token is.
    """

    def __init__(self, directory: ApiKeyDirectory) -> None:
        self._directory = directory

    MARK: Final = b" pk_"
    """Credentials without it are no API key; cheaper to find than the pattern, for every request."""

    async def settle(self, exchange: Exchange, credentials: bytes) -> None:
        match = _API_KEY.fullmatch(credentials)
        if match is not None:
            exchange.api_key = await self._owner(match[1].decode("ascii"))

    async def _owner(self, text: str) -> Actor | PosternError:
        try:
            return await self._directory.actor(text)
        except PosternError as error:
            return error
