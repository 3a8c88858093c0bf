"""The routes that describe the service: index, problems, the OpenAPI document and the pages that show it."""

from asyncio import to_thread
from collections.abc import Callable
from functools import cached_property
from html import escape
from typing import Any, Final

import msgspec

from application.shared.pending import settled
from entrypoints.http.edge.compression import COMPRESSED_MIN_BYTES, compressed_tag
from entrypoints.http.edge.conditional import PUBLIC, FixedRepresentation, bytes_tag, not_modified, representation
from entrypoints.http.edge.exchange import Exchange, PageResponse, Response
from entrypoints.http.edge.operation import Operation, Parameter
from entrypoints.http.edge.paging import refuse_parameters
from entrypoints.http.edge.routing import Registration, endpoint, page
from entrypoints.http.problems.catalogue import ProblemType, catalogue
from entrypoints.http.problems.errors import NoSuchProblem, NoSuchRoute
from entrypoints.http.system.assets import asset, asset_names, assets_version, favicon
from entrypoints.http.system.pages import html_page, prefers_html, prose, redoc_page, swagger_page
from entrypoints.http.system.schemas import Index, ProblemCatalogue, ProblemDescription
from entrypoints.settings.command import own_command

INDEX: Final = Operation(
    id="getIndex",
    summary="Tell where things are",
    tag="system",
    description="JSON; a page for browsers.",
    answer=Index,
    answer_description="Where things are.",
    cacheable=True,
    headers=("Vary",),
    stores=False,
    is_api=False,
)
PROBLEMS: Final = Operation(
    id="listProblems",
    summary="List every problem there is",
    tag="system",
    description="The closed set of problems that an answer's `type` can name. JSON; a page for browsers.",
    answer=ProblemCatalogue,
    answer_description="Every problem.",
    cacheable=True,
    headers=("Vary",),
    stores=False,
    is_api=False,
)
PROBLEM: Final = Operation(
    id="getProblem",
    summary="Explain a problem",
    tag="system",
    description="What a problem means, and what to do about it. JSON; a page for browsers.",
    parameters=(
        Parameter(
            "slug", "path", "The last part of a problem's `type`.", {"type": "string", "maxLength": 100}, "email-taken"
        ),
    ),
    answer=ProblemDescription,
    answer_description="The problem.",
    cacheable=True,
    headers=("Vary",),
    stores=False,
    is_api=False,
    raises=(NoSuchProblem,),
)
DOCUMENT: Final = Operation(
    id="getOpenApiDocument",
    summary="Read this document",
    tag="system",
    description="The OpenAPI 3.1 document of the service.",
    answer_description="The document.",
    cacheable=True,
    stores=False,
    is_api=False,
)
_VARY: Final = ((b"vary", b"Accept"),)

_encoder = msgspec.json.Encoder()


def _description(problem: ProblemType) -> ProblemDescription:
    return ProblemDescription(
        type=f"/problems/{problem.slug}",
        slug=problem.slug,
        title=problem.title,
        status=problem.status,
        description=problem.description,
        remedy=problem.remedy,
    )


class _Pages:
    """Makes answers that are a page for browsers and JSON for programs."""

    def __init__(self, version: str, mailbox: str | None) -> None:
        self.version = version
        self.mailbox = mailbox
        self.assets = f"/docs/assets/{assets_version(version)}"

    def choose(self, exchange: Exchange, view: msgspec.Struct, page: Callable[[], Response]) -> Response:
        if prefers_html(exchange.field(b"accept")):
            return self.validated(exchange, page())
        body = _encoder.encode(view)
        return representation(exchange, body, bytes_tag(body), (*PUBLIC, *_VARY))

    @staticmethod
    def validated(exchange: Exchange, page: Response) -> Response:
        """Add a validator to a page, and leave its body out for a browser that has it."""
        tag = bytes_tag(page.body)
        if exchange.compress and len(page.body) >= COMPRESSED_MIN_BYTES:
            tag = compressed_tag(tag)
        headers = (*page.headers, (b"etag", tag.encode()))
        return PageResponse(304, b"", headers) if not_modified(exchange, tag) else PageResponse(200, page.body, headers)

    def index(self) -> Response:
        body = f"""<main>
<h1>Postern</h1>
<p class="quiet">A self-hosted backend for user posts · version {escape(self.version)}</p>
<h2>Documentation</h2>
<ul>
<li><a href="/docs">/docs</a>: try every call here (Swagger UI)</li>
<li><a href="/redoc">/redoc</a>: the reference, for reading</li>
<li><a href="/openapi.json">/openapi.json</a>: OpenAPI 3.1, for generators</li>
<li><a href="/problems">/problems</a>: every error, and what to do about it</li>
<li><a href="/health">/health</a>, <a href="/health/ready">/health/ready</a>: how it is</li>
</ul>
<p>The API itself is below <code>/api/v1</code>.</p>
{self._development()}</main>"""
        return html_page("Postern", body, assets=self.assets)

    def _development(self) -> str:
        """Return what developers want to know, where there is a mailbox of theirs."""
        if self.mailbox is None:
            return ""
        return f"""<h2>Development</h2>
<ul>
<li><a href="{self.mailbox}">{self.mailbox}</a>: the mails that would have been sent</li>
<li><a href="/forgot-password">/forgot-password</a>: the page that asks for one; mails lead to
<code>/reset-password</code> and <code>/verify-email</code></li>
<li>Administrators are made on this machine, in the folder of the server and with its settings:
<code>{escape(own_command())} create-admin</code></li>
</ul>
"""

    def problems(self, entries: list[ProblemType]) -> Response:
        rows = "\n".join(
            f'<tr><td>{entry.status}</td><td><a href="/problems/{escape(entry.slug)}"><code>{escape(entry.slug)}</code>'
            f"</a></td><td>{escape(entry.title)}</td></tr>"
            for entry in sorted(entries, key=lambda entry: (entry.status, entry.slug))
        )
        body = f"""<main>
<h1>Problems</h1>
<p class="quiet">Every error is a problem (RFC 9457) of one of these types.</p>
<table><thead><tr><th>Status</th><th>Type</th><th>Title</th></tr></thead>
<tbody>
{rows}
</tbody></table>
<p><a href="/">Postern</a></p>
</main>"""
        return html_page("Problems", body, assets=self.assets)

    def problem(self, entry: ProblemType) -> Response:
        body = f"""<main>
<h1>{escape(entry.title)}</h1>
<p class="quiet"><code>{escape(entry.slug)}</code> · status {entry.status}</p>
<h2>What it means</h2>
<p>{prose(entry.description)}</p>
<h2>What to do</h2>
<p>{prose(entry.remedy)}</p>
<p><a href="/problems">All problems</a></p>
</main>"""
        return html_page(entry.title, body, assets=self.assets)


class SystemRoutes:
    """Handlers and the table of them. `document` gives the OpenAPI document, which is made on first use."""

    def __init__(self, document: Callable[[], dict[str, Any]], *, version: str, mailbox: str | None = None) -> None:
        self._document = document
        self._release = assets_version(version)
        self._pages = _Pages(version, mailbox)
        self._problems = catalogue()
        self._index = Index(
            name="Postern",
            version=version,
            docs="/docs",
            redoc="/redoc",
            openapi="/openapi.json",
            health="/health",
            problems="/problems",
            api="/api/v1",
            mailbox=msgspec.UNSET if mailbox is None else mailbox,
        )

    def handlers(self) -> list[Registration]:
        return [
            endpoint("GET", "/", INDEX)(self.index),
            endpoint("GET", "/problems", PROBLEMS)(self.list_problems),
            endpoint("GET", "/problems/{slug:str}", PROBLEM)(self.get_problem),
            endpoint("GET", "/openapi.json", DOCUMENT)(self.openapi),
            page("/docs", self.docs),
            page("/redoc", self.redoc),
            page("/docs/assets/{release:str}/{name:str}", self.file, compress=True),
            page("/favicon.ico", self.favicon, compress=True),
        ]

    async def index(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        return self._pages.choose(exchange, self._index, self._pages.index)

    async def list_problems(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        problems = list(self._problems.values())
        view = ProblemCatalogue(items=[_description(problem) for problem in problems])
        return self._pages.choose(exchange, view, lambda: self._pages.problems(problems))

    async def get_problem(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        problem = self._problems.get(exchange.params["slug"])
        if problem is None:
            raise NoSuchProblem
        return self._pages.choose(exchange, _description(problem), lambda: self._pages.problem(problem))

    async def openapi(self, exchange: Exchange) -> Response:
        refuse_parameters(exchange.query)
        # Making it takes 0.2 s, once.
        document = await to_thread(lambda: self._encoded_document)
        return await settled(document.response(exchange))

    @cached_property
    def _encoded_document(self) -> FixedRepresentation:
        body = _encoder.encode(self._document())
        return FixedRepresentation(body, bytes_tag(body), PUBLIC)

    async def docs(self, exchange: Exchange) -> Response:
        return self._pages.validated(exchange, swagger_page(self._pages.assets))

    async def redoc(self, exchange: Exchange) -> Response:
        return self._pages.validated(exchange, redoc_page(self._pages.assets))

    async def file(self, exchange: Exchange) -> Response:
        params = exchange.params
        if params["release"] != self._release or params["name"] not in asset_names():
            raise NoSuchRoute
        return await settled(asset(params["name"]).response(exchange))

    async def favicon(self, exchange: Exchange) -> Response:
        return await settled(favicon().response(exchange))
