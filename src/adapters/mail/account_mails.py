"""The mails to the owners of accounts, from templates.

`string.Template` fills the texts in, and what goes into HTML is escaped first, all of it and in one place. There are
three mails and no logic in them; a template engine would be one more thing to keep safe.
"""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from adapters.mail.queue import MailQueue
from adapters.mail.transport import Mail
from application.identity.credentials import AccountMails
from domain.identity.api_key import ApiKeyName
from domain.identity.values import EmailAddress, Username

_SUBJECTS: Final = {
    "password_reset": "Set a new password",
    "email_verification": "Confirm your e-mail address",
    "password_was_reset": "Your password was changed",
}


class TemplatedAccountMails(AccountMails):
    """Fills the templates in. Links lead to pages of the front end at `public_url`.

    A token stands in the fragment of its link: browsers send that to no server, so it is in no log and in no `Referer`.
    Only this server's own pages have it in the query, where they can read it without a script.
    """

    def __init__(self, queue: MailQueue, *, public_url: str, own_pages: bool = False) -> None:
        self._queue = queue
        self._public_url = public_url.rstrip("/")
        self._mark = "?" if own_pages else "#"
        folder = files("adapters.mail").joinpath("templates")
        self._texts = {name: Template(folder.joinpath(f"{name}.txt").read_text("utf-8")) for name in _SUBJECTS}
        self._pages = {name: Template(folder.joinpath(f"{name}.html").read_text("utf-8")) for name in _SUBJECTS}
        self._frame = Template(folder.joinpath("frame.html").read_text("utf-8"))

    def password_reset(self, to: EmailAddress, username: Username, token: str) -> None:
        link = f"{self._public_url}/reset-password{self._mark}token={token}"
        self._send("password_reset", to, {"username": username.value, "link": link, "token": token})

    def email_verification(self, to: EmailAddress, username: Username, token: str) -> None:
        link = f"{self._public_url}/verify-email{self._mark}token={token}"
        self._send("email_verification", to, {"username": username.value, "link": link, "token": token})

    def password_was_reset(self, to: EmailAddress, username: Username, ended: Sequence[ApiKeyName]) -> None:
        link = f"{self._public_url}/forgot-password"
        keys = ", ".join(name.value for name in ended) or "none"
        self._send("password_was_reset", to, {"username": username.value, "link": link, "keys": keys})

    def _send(self, name: str, to: EmailAddress, values: Mapping[str, str]) -> None:
        subject = _SUBJECTS[name]
        safe = {key: escape(value) for key, value in values.items()}
        page = self._frame.substitute(subject=escape(subject), content=self._pages[name].substitute(safe))
        self._queue.enqueue(Mail(to.value, subject, self._texts[name].substitute(values), page))
