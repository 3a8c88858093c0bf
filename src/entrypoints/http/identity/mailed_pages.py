"""The plain pages that links in mails lead to: verifying an address, and setting a new password.

For installations without a front end of their own, and for development. They need no script, and are no part of the
contract: a front end calls the API instead.

A link carries its token in the query, so whoever follows links unasked (scanners of mail, previews) may read the page
and spends nothing by it: only the form does. Nothing on a page leads elsewhere, no `Referer` is sent, the request log
holds no query, and no answer is stored.

Forgery (CSRF): nothing that a browser adds by itself counts here. The token is what makes the request good, and another
page does not know it. Browsers that say where a request comes from are held to it all the same.
"""

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from application.identity.use_cases import IdentityUseCases
from domain.identity.errors import InvalidOneTimeToken
from domain.identity.values import PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH
from domain.shared.errors import FieldError, Invalid, PosternError
from entrypoints.http.edge.exchange import Exchange, Response
from entrypoints.http.edge.failures import problem_response_for
from entrypoints.http.edge.json_body import collect_chunks, decode
from entrypoints.http.edge.routing import Registration, page
from entrypoints.http.identity.credential_schemas import ForgotPasswordBody, ResetPasswordBody, VerifyEmailBody
from entrypoints.http.identity.refresh_cookie import is_own
from entrypoints.http.problems.catalogue import EXPLANATIONS
from entrypoints.http.problems.errors import BadRequest, BodyTooLarge, CsrfRefused, UnsupportedMediaType
from entrypoints.http.system.assets import assets_version
from entrypoints.http.system.pages import private_page, prose

VERIFY: Final = "/verify-email"
RESET: Final = "/reset-password"
FORGOT: Final = "/forgot-password"
PATHS: Final = (VERIFY, RESET, FORGOT)

_FORM_BYTES: Final = 8_192
_FORM_FIELDS: Final = 32
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_TOKEN_MAX_LENGTH: Final = 256
_encoder = msgspec.json.Encoder()

Form = dict[str, str]
Page = tuple[str, str]
"""Its title, and what stands below it, as HTML."""


class MailLinkPages:
    """Handlers and the table of them: each page is read by GET and sent by POST, to the use case behind the API."""

    def __init__(self, use: IdentityUseCases, *, version: str) -> None:
        self._use = use
        self._assets = f"/docs/assets/{assets_version(version)}"

    def handlers(self) -> list[Registration]:
        return [
            *self._page_handlers(VERIFY, _verify_form, self._verify),
            *self._page_handlers(RESET, _reset_form, self._reset),
            *self._page_handlers(FORGOT, _forgot_form, self._forgot),
        ]

    def _page_handlers(
        self,
        path: str,
        form: Callable[[Form, list[FieldError]], Page],
        send: Callable[[Form], Awaitable[Page]],
    ) -> list[Registration]:
        async def show(exchange: Exchange) -> Response:
            # What else mailers and trackers add to links is theirs.
            query = _fields(exchange.query)
            return self._page(*form({"token": query.get("token", "")}, []))

        async def sent(exchange: Exchange) -> Response:
            fields: Form = {}
            try:
                fields = await _receive(exchange)
                return self._page(*await send(fields))
            except InvalidOneTimeToken as error:
                return self._failed(exchange, error)
            except Invalid as invalid:
                return self._page(*form(fields, list(invalid.errors)), status=400)
            except PosternError as error:
                return self._failed(exchange, error)

        return [
            page(path, show),
            page(path, sent, method="POST"),
        ]

    async def _verify(self, form: Form) -> Page:
        body = _body({"token": form.get("token", "")}, VerifyEmailBody)
        await self._use.verify_email.execute(body.command())
        return "Address confirmed", "<p>Thank you: your e-mail address counts as confirmed.</p>"

    async def _reset(self, form: Form) -> Page:
        password = form.get("password", "")
        if password != form.get("again", ""):
            raise Invalid([FieldError("again", "different", "is not the same as the first")])
        body = _body({"token": form.get("token", ""), "password": password}, ResetPasswordBody)
        await self._use.reset_password.execute(body.command())
        return (
            "Password changed",
            "<p>Your password is changed, and every session is closed: log in anew with it, wherever you were.</p>",
        )

    async def _forgot(self, form: Form) -> Page:
        body = _body({"email": form.get("email", "")}, ForgotPasswordBody)
        await self._use.request_password_reset.execute(body.command())
        return (
            "Look into your mailbox",
            "<p>If the address belongs to an account, a mail with a link is on its way.</p>",
        )

    def _page(self, title: str, content: str, *, status: int = 200) -> Response:
        body = f"<main>\n<h1>{escape(title)}</h1>\n{content}\n</main>"
        return private_page(title, body, assets=self._assets, status=status)

    def _failed(self, exchange: Exchange, error: PosternError) -> Response:
        """Return the page of a problem, logged and under the status that it has everywhere."""
        exchange.failure = error
        problem = problem_response_for(error, exchange.request_id, method="POST", path=exchange.scope["path"])
        explanation = EXPLANATIONS[error.slug]
        title, remedy = error.title, prose(explanation.remedy)
        means = prose(explanation.description)
        if isinstance(error, UnsupportedMediaType):
            title, means, remedy = "This is no form", escape(error.detail), "Use the form of this page."
        elif isinstance(error, InvalidOneTimeToken) and exchange.scope["path"].startswith(RESET):
            remedy = f'<a href="{FORGOT}">Ask for a new mail</a>, and use the link in it.'
        content = f"<p>{means}</p>\n<p>{remedy}</p>"
        kept = [field for field in problem.headers if field[0] == b"retry-after"]
        return private_page(
            title,
            f"<main>\n<h1>{escape(title)}</h1>\n{content}\n</main>",
            assets=self._assets,
            status=problem.status,
            headers=tuple(kept),
        )


async def _receive(exchange: Exchange) -> Form:
    """Receive a form that this very server's page has sent."""
    site, origin = exchange.field(b"sec-fetch-site"), exchange.field(b"origin")
    # A page without a referrer has the origin `null`, and so is no proof of anything.
    if site not in {None, "same-origin", "none"} or (
        origin not in {None, "null"} and not is_own(str(origin), exchange.field(b"host"))
    ):
        raise CsrfRefused("The form was sent by a page of another site.")
    media_type = (exchange.field(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != _FORM_TYPE:
        raise UnsupportedMediaType(f"It takes {_FORM_TYPE}.")
    raw = await collect_chunks(exchange)
    if len(raw) > _FORM_BYTES:
        raise BodyTooLarge
    return _fields(raw)


def _fields(raw: bytes) -> Form:
    """Read percent-encoded fields, the first of each name. Raises `BadRequest` for what is none."""
    try:
        found = parse_qs(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS)
    except ValueError:
        raise BadRequest("The form is not percent-encoded UTF-8, or has too many fields.") from None
    return {name: values[0] for name, values in found.items()}


def _body(fields: Form, schema: Any) -> Any:
    """Return the body that the API takes. Raises `Invalid` as the API does, and `InvalidOneTimeToken`."""
    if not 1 <= len(fields.get("token", "x")) <= _TOKEN_MAX_LENGTH:
        raise InvalidOneTimeToken
    return decode(_encoder.encode(fields), schema)


def _form(path: str, inside: str, button: str) -> str:
    return f'<form method="post" action="{path}">\n{inside}\n<p><button type="submit">{button}</button></p>\n</form>'


def _token(form: Form) -> str:
    """Return the field of the token: out of sight when the link had it, else to be pasted."""
    token = form.get("token", "")
    if token and len(token) <= _TOKEN_MAX_LENGTH:
        return f'<input type="hidden" name="token" value="{escape(token)}">'
    return (
        '<p><label for="token">The token of the mail</label>\n'
        f'<input id="token" name="token" required maxlength="{_TOKEN_MAX_LENGTH}" autocomplete="off" '
        'spellcheck="false"></p>'
    )


def _summary(faults: list[FieldError]) -> str:
    if not faults:
        return ""
    lines = "".join(
        f"<li>{escape(_NAMES.get(fault.field, fault.field))} {escape(fault.message)}</li>" for fault in faults
    )
    return f'<ul class="faults" role="alert">{lines}</ul>\n'


_NAMES: Final = {
    "password": "The password",
    "again": "The password below",
    "email": "The address",
    "token": "The token",
}


def _verify_form(form: Form, faults: list[FieldError]) -> Page:
    return "Confirm your e-mail address", _summary(faults) + _form(VERIFY, _token(form), "Confirm the address")


def _reset_form(form: Form, faults: list[FieldError]) -> Page:
    field = (
        '<input id="{0}" name="{0}" type="password" required autocomplete="new-password" '
        f'minlength="{PASSWORD_MIN_LENGTH}" maxlength="{PASSWORD_MAX_LENGTH}">'
    )
    inside = (
        f"{_token(form)}\n"
        f'<p><label for="password">New password: {PASSWORD_MIN_LENGTH} characters or more</label>\n'
        f"{field.format('password')}</p>\n"
        f'<p><label for="again">Once more</label>\n{field.format("again")}</p>'
    )
    return "Set a new password", _summary(faults) + _form(RESET, inside, "Set the password")


def _forgot_form(form: Form, faults: list[FieldError]) -> Page:
    inside = (
        '<p><label for="email">The e-mail address of your account</label>\n'
        '<input id="email" name="email" type="email" required autocomplete="email" '
        f'value="{escape(form.get("email", ""))}"></p>'
    )
    return "Forgot your password?", _summary(faults) + _form(FORGOT, inside, "Send me a mail")
