"""A mailbox for development: mails end in a folder instead of with somebody, and can be read over HTTP."""

import asyncio
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from adapters.mail.transport import Mail, MailTransport
from application.shared.clock import Clock
from application.shared.views import timestamp

_log = logging.getLogger("postern.mail")

KEPT: Final = 100
"""Mails; older ones are forgotten."""
_TELL_SECONDS: Final = 60.0


class StoredMail(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    sent_at: str
    to: str
    subject: str
    text: str
    html: str


class FolderMailbox(MailTransport):
    """One file a mail, so that all workers of the machine share it. Each mail is logged too, token and all."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def deliver(self, mail: Mail) -> None:
        await asyncio.to_thread(self._store, mail, self._clock.now())
        _log.info("mail to %s: %s\n%s", mail.to, mail.subject, mail.text)

    async def read(self) -> list[StoredMail]:
        """Return what was delivered, the newest first."""
        return await asyncio.to_thread(self._read)

    def _store(self, mail: Mail, at: datetime) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Names sort by time; the random end keeps two workers apart.
        name = f"{at:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
        stored = StoredMail(
            id=name, sent_at=timestamp(at), to=mail.to, subject=mail.subject, text=mail.text, html=mail.html
        )
        descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=".draft-")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(stored))
        Path(draft).replace(self._folder / f"{name}.json")  # Whoever reads sees it whole or not at all.
        for old in sorted(self._folder.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)

    def _read(self) -> list[StoredMail]:
        found = []
        for path in sorted(self._folder.glob("*.json"), reverse=True):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=StoredMail))
            except FileNotFoundError:
                continue  # Another worker has just forgotten it.
        return found


class NoTransport(MailTransport):
    """Where no mail server is configured: says so once a minute at most, and nothing of what is in a mail.

    It is a warning: who runs it without mail has chosen to, and whatever sends a mail, such as signing up, works.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: float | None = None
        self._unsent = 0

    async def deliver(self, mail: Mail) -> None:
        self._unsent += 1
        now = self._monotonic()
        if self._told is None or now - self._told >= _TELL_SECONDS:
            self._told = now
            _log.warning(
                "mails are not sent, since SMTP_URL is not set: %d so far, the last of them %s",
                self._unsent,
                mail.subject,
            )
