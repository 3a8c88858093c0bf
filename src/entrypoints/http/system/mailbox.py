"""The developer's mailbox. Its route is there in development alone, and is no part of the contract."""

from html import escape

import msgspec
from litestar.handlers import HTTPRouteHandler

from adapters.mail.mailbox import FolderMailbox, StoredMail
from entrypoints.http.exchange import JSON_TYPE, NO_STORE, Answer, Exchange, HttpRequest
from entrypoints.http.paging import refuse_parameters
from entrypoints.http.system.assets import assets_version
from entrypoints.http.system.pages import html_page, prefers_html

_encoder = msgspec.json.Encoder()


def mailbox_routes(mailbox: FolderMailbox, *, version: str) -> list[HTTPRouteHandler]:
    """Return the route that shows what would have been sent, the newest first: JSON, and a page for browsers."""
    assets = f"/docs/assets/{assets_version(version)}"

    async def read(request: HttpRequest) -> Answer:
        refuse_parameters(request.scope["query_string"])
        mails = await mailbox.read()
        if prefers_html(Exchange.of(request.scope).field(b"accept")):
            return html_page("Mailbox", _page(mails), assets=assets)
        return Answer(200, _encoder.encode({"items": mails}), (JSON_TYPE, NO_STORE))

    return [HTTPRouteHandler("/dev/mailbox", http_method="GET", name="readMailbox")(read)]


def _page(mails: list[StoredMail]) -> str:
    rows = "\n".join(
        f"<h2>{escape(mail.subject)}</h2>\n"
        f'<p class="quiet">to {escape(mail.to)} · {escape(mail.sent_at)}</p>\n<pre>{escape(mail.text)}</pre>'
        for mail in mails
    )
    return f"<main>\n<h1>Mailbox</h1>\n{rows or '<p>No mails yet.</p>'}\n</main>"
