"""The queue, the templates, the mailbox, and SMTP against a server of our own."""

import asyncio
import email.policy
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.headerregistry import Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from adapters.mail.account_mails import TemplatedAccountMails
from adapters.mail.mailbox import KEPT, FolderMailbox, NoTransport
from adapters.mail.queue import MailQueue
from adapters.mail.smtp import SmtpServer, SmtpTransport
from adapters.mail.transport import DeliveryDelayed, DeliveryFailed, Mail, MailTransport
from adapters.shared.request import current
from adapters.system.background import TaskBackground
from adapters.system.deadline import ContextDeadline
from adapters.system.origin import ContextOrigins
from application.shared.errors import Overloaded
from application.shared.origin import Origin
from domain.identity.api_key import ApiKeyName
from domain.identity.values import EmailAddress, Username
from tests.fakes import ARequest, SettableClock
from tests.waiting import until

MAIL = Mail("alice@example.org", "A subject", "Hello Alice", "<p>Hello Alice</p>")
SENDER = Address("Postern", addr_spec="hello@example.com")


class Scripted(MailTransport):
    """Delivers, or fails as it is told, attempt by attempt; after the script it delivers."""

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.attempts = 0
        self.delivered: list[Mail] = []

    async def deliver(self, mail: Mail) -> None:
        self.attempts += 1
        if self.script:
            raise self.script.pop(0)
        self.delivered.append(mail)


async def test_a_mail_that_was_delayed_is_tried_again() -> None:
    transport = Scripted(DeliveryDelayed("busy"), DeliveryDelayed("busy"))
    queue = MailQueue(transport, waits=(0.01, 0.01))
    queue.enqueue(MAIL)
    await until(lambda: transport.delivered == [MAIL])
    assert transport.attempts == 3


async def test_a_mail_is_given_up_after_the_last_attempt(caplog: pytest.LogCaptureFixture) -> None:
    transport = Scripted(*(DeliveryDelayed("busy") for _ in range(9)))
    queue = MailQueue(transport, waits=(0.001, 0.001))
    queue.enqueue(MAIL)
    await until(lambda: "gave up a mail" in caplog.text)
    assert (transport.attempts, transport.delivered) == (3, [])
    assert "Hello" not in caplog.text
    assert "alice@" not in caplog.text


@pytest.mark.parametrize("failure", [DeliveryFailed("refused"), ValueError("a defect")])
async def test_a_mail_that_was_refused_is_not_tried_again(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    transport = Scripted(failure)
    queue = MailQueue(transport, waits=(0.001,))
    queue.enqueue(MAIL)
    await until(lambda: MAIL.subject in caplog.text)
    await queue.close()
    assert transport.attempts == 1


async def test_a_full_queue_takes_no_more_and_nobody_waits() -> None:
    queue = MailQueue(Scripted(*(DeliveryDelayed("busy") for _ in range(9))), capacity=2, waits=(60.0,))
    queue.enqueue(MAIL)
    queue.enqueue(MAIL)
    with pytest.raises(Overloaded):
        queue.enqueue(MAIL)
    await queue.close()


async def test_at_the_end_what_waits_is_tried_a_last_time() -> None:
    transport = Scripted(DeliveryDelayed("busy"))
    queue = MailQueue(transport, waits=(600.0, 600.0))
    queue.enqueue(MAIL)
    await until(lambda: transport.attempts == 1)
    await asyncio.wait_for(queue.close(), 5)
    assert transport.delivered == [MAIL]
    with pytest.raises(Overloaded):
        queue.enqueue(MAIL)


async def test_at_the_end_a_server_that_hangs_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(MailTransport):
        async def deliver(self, mail: Mail) -> None:
            await asyncio.sleep(3600)

    queue = MailQueue(Hanging(), drain_seconds=0.05)
    queue.enqueue(MAIL)
    await asyncio.wait_for(queue.close(), 5)
    assert "gave up 1 mails" in caplog.text


async def test_background_work_is_bounded_told_when_it_fails_and_drained(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []
    may_go = asyncio.Event()

    async def work() -> None:
        await may_go.wait()
        done.append(1)

    async def fail() -> None:
        raise RuntimeError("a defect")

    async def refuse() -> None:
        raise Overloaded

    background = TaskBackground(capacity=5, workers=1)
    for job in (work, fail, refuse, work):
        background.submit(job)
    with pytest.raises(Overloaded):
        for _ in range(3):
            background.submit(work)
    may_go.set()
    await asyncio.wait_for(background.close(), 5)
    assert len(done) >= 3
    assert "a background job failed: overloaded" in caplog.text
    assert "RuntimeError: a defect" in caplog.text
    with pytest.raises(Overloaded):
        background.submit(work)


async def test_background_work_has_neither_the_deadline_nor_the_origin_of_a_request() -> None:
    background, left, origins = TaskBackground(), [], []

    async def work() -> None:
        left.append(ContextDeadline().seconds_left())
        origins.append(ContextOrigins().current())

    current.set(ARequest(address="203.0.113.9", request_id="the-first-request", due=0.001))
    assert ContextDeadline().seconds_left() < 0
    background.submit(work)
    await asyncio.wait_for(background.close(), 5)
    assert (left, origins) == ([math.inf], [Origin()])


async def test_background_work_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    background = TaskBackground(drain_seconds=0.05)
    background.submit(lambda: asyncio.sleep(3600))
    await asyncio.wait_for(background.close(), 5)
    assert "gave up" in caplog.text


async def test_the_three_mails_say_what_to_do_in_text_and_in_html() -> None:
    transport = Scripted()
    queue = MailQueue(transport)
    mails = TemplatedAccountMails(queue, public_url="https://app.example.com/")
    to, name = EmailAddress.parse("alice@example.org"), Username('<b>&"alice', "x")
    mails.password_reset(to, name, "the-token")
    mails.email_verification(to, name, "the-token")
    mails.password_was_reset(to, name, [ApiKeyName("backup & more")])
    await queue.close()

    reset, verification, notice = transport.delivered
    assert "https://app.example.com/reset-password#token=the-token" in reset.text
    assert "https://app.example.com/verify-email#token=the-token" in verification.html
    assert "works once" in reset.text
    assert "once" not in verification.text + verification.html, "it may be opened again"
    assert "https://app.example.com/forgot-password" in notice.text
    assert "API keys that ended with it: backup & more" in notice.text
    assert "API keys that ended with it: backup &amp; more" in notice.html
    for mail in transport.delivered:
        assert mail.to == "alice@example.org"
        assert '<b>&"alice' in mail.text
        assert "<b>" not in mail.html
        assert "&lt;b&gt;&amp;&quot;alice" in mail.html
        assert "$" not in mail.text + mail.html
        assert "the-token" not in repr(mail)


async def test_the_mailbox_shows_the_newest_first_to_every_worker_and_forgets_the_oldest(
    tmp_path: Path, clock: SettableClock
) -> None:
    mine, theirs = (FolderMailbox(tmp_path / "mailbox", clock=clock) for _ in range(2))
    assert await mine.read() == []
    for number in range(KEPT + 3):
        await (mine, theirs)[number % 2].deliver(Mail("a@example.org", f"{number}", "text", "<p>html</p>"))
        clock.advance(timedelta(milliseconds=1))

    found = await theirs.read()

    assert [mail.subject for mail in found] == [f"{n}" for n in range(KEPT + 2, 2, -1)]
    assert (found[0].to, found[0].text, found[0].html) == ("a@example.org", "text", "<p>html</p>")


async def test_without_a_server_mails_are_missed_and_warned_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    transport = NoTransport(monotonic=lambda: now)
    for _ in range(3):
        await transport.deliver(MAIL)
    now += 60
    await transport.deliver(MAIL)

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    first, second = caplog.messages
    assert "SMTP_URL is not set: 1 so far" in first
    assert "SMTP_URL is not set: 4 so far" in second
    assert "Hello Alice" not in caplog.text


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 587, False, None, None)),
        ("smtps://u%40x:p%2Fw@mail.example.com", SmtpServer("mail.example.com", 465, True, "u@x", "p/w")),
        ("smtp://localhost:1025", SmtpServer("localhost", 1025, False, None, None)),
    ],
)
def test_an_smtp_url_is_read(url: str, server: SmtpServer) -> None:
    assert SmtpServer.parse(url) == server


@pytest.mark.parametrize("url", ["http://x", "smtp://", "smtp://x/path", "smtp://x?tls=no", "mail.example.com"])
def test_what_is_no_smtp_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP"):
        SmtpServer.parse(url)


def test_only_this_very_machine_gets_mail_without_tls() -> None:
    assert SmtpServer.parse("smtp://mail.example.com").requires_starttls
    assert not SmtpServer.parse("smtp://127.0.0.1:1025").requires_starttls
    assert not SmtpServer.parse("smtps://mail.example.com").requires_starttls


class Server:
    """As much of SMTP as a client says; `answers` replaces the answer to a command."""

    def __init__(self, answers: dict[str, str], tls: ssl.SSLContext | None = None) -> None:
        self.answers = answers
        self.tls = tls
        self.received: list[bytes] = []
        self.commands: list[str] = []
        self.conversations: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.conversations.add(task)
        with suppress(OSError):
            await self._converse(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            command = line.decode("utf-8").strip()
            verb = command.partition(" ")[0].partition(":")[0].upper()
            self.commands.append(command)
            if verb == "EHLO" and verb not in self.answers:
                starttls = "250-STARTTLS\r\n" if self.tls and not writer.get_extra_info("sslcontext") else ""
                writer.write(f"250-test\r\n{starttls}250-AUTH PLAIN\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n".encode())
            elif verb == "STARTTLS" and self.tls:
                writer.write(b"220 go ahead\r\n")
                await writer.drain()
                await writer.start_tls(self.tls)
            elif verb == "DATA" and verb not in self.answers:
                writer.write(b"354 go on\r\n")
                self.received.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            else:
                writer.write(f"{self.answers.get(verb, '235 ok' if verb == 'AUTH' else '250 ok')}\r\n".encode())
            if verb == "QUIT":
                break


@asynccontextmanager
async def smtp_server(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False, answers: dict[str, str] | None = None
) -> AsyncIterator[tuple[Server, int]]:
    server = Server(answers or {}, tls)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls if implicit else None)
    try:
        yield server, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        if server.conversations:
            await asyncio.wait(server.conversations, timeout=5)
        await listening.wait_closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context, and that of a client who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    pem = folder / "server.pem"
    pem.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


def transport_to(url: str, tls: ssl.SSLContext | None = None, *, timeout_seconds: float = 5.0) -> SmtpTransport:
    return SmtpTransport(SmtpServer.parse(url), sender=SENDER, tls=tls, timeout_seconds=timeout_seconds)


async def test_a_mail_arrives_whole_in_text_and_html() -> None:
    mail = Mail("alice@example.org", "Grüße", "Hällo\n.\nend", "<p>Hällo</p>")
    async with smtp_server() as (server, port):
        await transport_to(f"smtp://127.0.0.1:{port}").deliver(mail)

    message = message_from_bytes(server.received[0].replace(b"\r\n..", b"\r\n."), policy=email.policy.default)
    assert (message["to"], message["from"], message["subject"]) == (
        "alice@example.org",
        "Postern <hello@example.com>",
        "Grüße",
    )
    assert message["auto-submitted"] == "auto-generated"
    assert message["message-id"].endswith("@example.com>")
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Hällo", ".", "end"]
    assert "<p>Hällo</p>" in html.get_content()
    assert any(command.startswith("MAIL FROM:<hello@example.com>") for command in server.commands)


async def test_an_internationalised_address_is_sent_as_it_is() -> None:
    async with smtp_server() as (server, port):
        await transport_to(f"smtp://127.0.0.1:{port}").deliver(Mail("用户@bücher.example", "S", "t", "<p>h</p>"))
    assert any("用户@bücher.example" in command for command in server.commands)


async def test_starttls_is_used_and_the_password_goes_over_it(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server_tls, client_tls = certificate
    async with smtp_server(server_tls) as (server, port):
        await transport_to(f"smtp://user:secret@localhost:{port}", client_tls).deliver(MAIL)
    verbs = [command.partition(" ")[0].upper() for command in server.commands]
    assert verbs.index("STARTTLS") < verbs.index("AUTH")
    assert len(server.received) == 1


async def test_tls_from_the_first_byte(certificate: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server_tls, client_tls = certificate
    async with smtp_server(server_tls, implicit=True) as (server, port):
        await transport_to(f"smtps://localhost:{port}", client_tls).deliver(MAIL)
    assert len(server.received) == 1


async def test_a_server_that_is_not_who_it_says_gets_no_mail(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with smtp_server(certificate[0], implicit=True) as (server, port):
        with pytest.raises(DeliveryDelayed):
            await transport_to(f"smtps://localhost:{port}").deliver(MAIL)
    assert server.received == []


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"RCPT": "550 no such user alice@example.org"}, DeliveryFailed),
        ({"RCPT": "451 come again"}, DeliveryDelayed),
        ({"MAIL": "553 not you"}, DeliveryFailed),
        ({"MAIL": "421 busy"}, DeliveryDelayed),
        ({"DATA": "554 spam"}, DeliveryFailed),
        ({"DATA": "452 full"}, DeliveryDelayed),
    ],
)
async def test_what_is_refused_for_good_is_told_from_what_may_pass_later(
    answers: dict[str, str], error: type[Exception]
) -> None:
    async with smtp_server(answers=answers) as (_, port):
        with pytest.raises(error) as raised:
            await transport_to(f"smtp://127.0.0.1:{port}").deliver(MAIL)
    assert "alice" not in str(raised.value)


async def test_nobody_there_and_nobody_answering_are_delays() -> None:
    async with smtp_server() as (_, port):
        pass
    with pytest.raises(DeliveryDelayed):
        await transport_to(f"smtp://127.0.0.1:{port}").deliver(MAIL)

    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(DeliveryDelayed):
            await transport_to(f"smtp://127.0.0.1:{port}", timeout_seconds=0.2).deliver(MAIL)
        await ended.wait()


async def test_work_does_not_begin_while_the_answer_of_who_set_it_off_is_made() -> None:
    began = asyncio.Event()

    async def work() -> None:
        began.set()

    background = TaskBackground(delay_seconds=0.2)
    background.submit(work)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not began.is_set()

    await background.idle()
    assert began.is_set()
    await background.close()
