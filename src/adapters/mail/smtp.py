"""Mail by SMTP (RFC 5321), over TLS."""

import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, make_msgid
from typing import Final

import aiosmtplib
from aiosmtplib.errors import SMTPException, SMTPRecipientRefused, SMTPRecipientsRefused, SMTPResponseException

from adapters.mail.smtp_server import SmtpServer
from adapters.mail.transport import DeliveryDelayed, DeliveryFailed, Mail, MailTransport

__all__ = ["SmtpServer", "SmtpTransport"]

TIMEOUT_SECONDS: Final = 15.0
"""For connecting, and for each command."""


class SmtpTransport(MailTransport):
    """Opens a connection for each mail: they are rare, and a kept connection is one that breaks unnoticed."""

    def __init__(
        self,
        server: SmtpServer,
        *,
        sender: Address,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._sender = sender
        self._timeout = timeout_seconds
        self._tls = tls or ssl.create_default_context()

    async def deliver(self, mail: Mail) -> None:
        server = self._server
        # Nothing of the address is ever rewritten: what cannot be encoded in ASCII needs a server with SMTPUTF8.
        message = self._message(mail)
        try:
            await aiosmtplib.send(
                message,
                sender=self._sender.addr_spec,
                recipients=[mail.to],
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                timeout=self._timeout,
                use_tls=server.implicit_tls,
                start_tls=True if server.requires_starttls else None,
                tls_context=self._tls,
            )
        except (SMTPRecipientsRefused, SMTPRecipientRefused, SMTPResponseException) as error:
            raise _verdict(error) from None  # the chained error quotes the address
        except (SMTPException, OSError, TimeoutError) as error:
            raise DeliveryDelayed(f"{type(error).__name__} at {server.host}:{server.port}") from None

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP if mail.to.isascii() else SMTPUTF8)
        message["From"] = self._sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.domain or "localhost")
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes in return
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _verdict(error: SMTPException) -> DeliveryDelayed | DeliveryFailed:
    codes = [refused.code for refused in error.recipients] if isinstance(error, SMTPRecipientsRefused) else []
    if isinstance(error, SMTPResponseException):
        codes = [error.code]
    text = f"the server answered {', '.join(map(str, codes)) or 'no'}"
    return DeliveryDelayed(text) if all(400 <= code < 500 for code in codes) else DeliveryFailed(text)
