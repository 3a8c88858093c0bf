"""The floor: the answers of Postern, byte by byte, from an ASGI application that does nothing else.

It runs on the same server with the same settings, because it is started by the same function as `postern serve`; what
is between this and Postern is what Postern does. It answers by path alone: no token is looked at.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

from entrypoints.cli import serve
from entrypoints.cli.worker import Link
from entrypoints.settings import Settings

ANSWERS: Final = "FLOOR_ANSWERS"
"""The variable that names the file of answers: a list of `{target, not_modified, status, headers, body}`."""


def load_floor(link: Link) -> Any:
    """Build the application in a worker."""
    recorded = json.loads(Path(os.environ[ANSWERS]).read_text(encoding="utf-8"))
    answers = {(each["target"].encode(), each["not_modified"]): _messages(each) for each in recorded}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for moment in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{moment}.complete"})
                if moment == "startup":
                    link.ready.send_bytes(b".")
            return
        target = scope["path"].encode()
        if query := scope["query_string"]:
            target += b"?" + query
        conditional = any(name == b"if-none-match" for name, _ in scope["headers"])
        start, body = answers[target, conditional]
        await send(start)
        await send(body)

    return app


def _messages(recorded: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in recorded["headers"]]
    start = {"type": "http.response.start", "status": recorded["status"], "headers": headers}
    return start, {"type": "http.response.body", "body": recorded["body"].encode(), "more_body": False}


def main() -> None:
    """Serve on `HOST` and `PORT`, as `postern serve` would."""
    settings = Settings.load()
    # Everything of Granian's configuration stays where it is; only what a worker loads is another application.
    serve.load_app = load_floor  # type: ignore[attr-defined]  # imported there for itself, and replaced here alone
    serve.run(settings, settings.host)


if __name__ == "__main__":
    main()
