"""The developer's mailbox. Its route is there in development alone, and is no part of the contract."""

import re
from html import escape
from typing import Final

import msgspec

from adapters.mail.mailbox import FolderMailbox, StoredMail
from entrypoints.http.edge.exchange import JSON_TYPE, NO_STORE, Exchange, Response
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, page
from entrypoints.http.system.assets import assets_version
from entrypoints.http.system.pages import prefers_html, private_page

MAILBOX: Final = "/dev/mailbox"

_encoder = msgspec.json.Encoder()


def mailbox_routes(mailbox: FolderMailbox, *, version: str) -> list[Registration]:
    """Return the route that shows what would have been sent, the newest first: JSON, and a page for browsers."""
    assets = f"/docs/assets/{assets_version(version)}"

    async def read(exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        mails = await mailbox.read()
        if prefers_html(exchange.field(b"accept")):
            return private_page("Mailbox", _page(mails), assets=assets)
        return Response(200, _encoder.encode({"items": mails}), (JSON_TYPE, NO_STORE))

    return [page(MAILBOX, read)]


def _page(mails: list[StoredMail]) -> str:
    rows = "\n".join(
        f"<h2>{escape(mail.subject)}</h2>\n"
        f'<p class="quiet">to {escape(mail.to)} · {escape(mail.sent_at)}</p>\n<pre>{_linked(mail.text)}</pre>'
        for mail in mails
    )
    return f"<main>\n<h1>Mailbox</h1>\n{rows or '<p>No mails yet.</p>'}\n</main>"


_LINK = re.compile(r"https?://[!-~]+")


def _linked(text: str) -> str:
    """Return a mail's text as HTML, its links to be clicked. No page learns that they stood here."""
    pieces: list[str] = []
    end = 0
    for link in _LINK.finditer(text):
        url = escape(link[0])
        pieces += [escape(text[end : link.start()]), f'<a href="{url}" rel="noreferrer">{url}</a>']
        end = link.end()
    return "".join((*pieces, escape(text[end:])))
