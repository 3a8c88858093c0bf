"""A blocking client with one keep-alive connection, for preparing and for checking answers."""

import socket

from bench.http1 import AnswerReader, MalformedAnswer, Request, Response

_TIMEOUT_SECONDS = 30


class Client:
    def __init__(self, host: str) -> None:
        self.host = host
        self._socket: socket.socket | None = None

    def ask(self, request: Request) -> Response:
        """Send and return the answer, whatever its status. Raises `OSError`, `MalformedAnswer`.

        Servers end idle connections, so a connection found closed is opened anew, once.
        """
        raw = request.raw(self.host)
        kept = self._socket is not None
        try:
            return self._exchange(raw)
        except (ConnectionError, MalformedAnswer):
            self.close()
            if not kept:
                raise
            return self._exchange(raw)

    def _exchange(self, raw: bytes) -> Response:
        if self._socket is None:
            name, _, port = self.host.partition(":")
            self._socket = socket.create_connection((name, int(port)), timeout=_TIMEOUT_SECONDS)
        self._socket.sendall(raw)
        reader = AnswerReader()
        while True:
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionResetError("the server closed the connection before its answer was complete")
            answer = reader.feed(data)
            if answer is not None:
                if answer.header("connection") == "close":
                    self.close()
                return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
