"""A mail server for tests: takes what it gets and prints it, one JSON object a line, the first with its port.

server.py implicit|starttls|plain [CERTIFICATE KEY [USER PASSWORD]]

Receivers that begin with `gone` are refused for good, those that begin with `later` for now. Ends with its input.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        say(
            mail=envelope.original_content.decode(),
            sender=envelope.mail_from,
            receivers=envelope.rcpt_tos,
            encrypted=session.ssl is not None or server.transport.get_extra_info("cipher") is not None,
            user=getattr(session, "auth_data", None) and session.auth_data.login.decode(),
        )
        return "250 2.0.0 queued as 4711"


async def main(mode, certificate=None, key=None, user=None, password=None):
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)

    def authenticate(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and data == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    def protocol():
        return SMTP(
            Handler(),
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=authenticate if user else None,
            auth_required=bool(user),
            # It cannot see for itself that the connection is encrypted from the start.
            auth_require_tls=mode == "starttls",
        )

    loop = asyncio.get_running_loop()
    implicit = context if mode == "implicit" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    say(port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
