"""Signs many people in to Postern: `python -m bench.tokens`, user ids as JSON on standard input, tokens on its output.

Logging in a thousand people hashes a thousand passwords, half a minute a contender that measures nothing. This is the
rest of a log-in, by the product's own code and with its settings: a session that is stored, and the token of it.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from uuid import UUID

from domain.identity.values import Device
from domain.shared.actor import Role
from domain.shared.ids import UserId
from entrypoints.container import Container
from entrypoints.container.lifecycle import running
from entrypoints.settings import Settings

_BATCH = 128


async def sign_in(people: Sequence[UUID], settings: Settings) -> list[str]:
    """Return an access token for each of these users."""
    container = Container(settings=settings)
    device = Device.of("bench", "127.0.0.1")
    tokens: list[str] = []
    async with running(container):
        issuer, clock, units = container.issuer(), container.clock(), container.storage().identity_units
        for begin in range(0, len(people), _BATCH):
            now = clock.now()
            opened = [issuer.open_session(UserId(id), device, at=now) for id in people[begin : begin + _BATCH]]
            async with units() as uow:
                for session, _ in opened:
                    await uow.sessions.add(session)
                await uow.commit()
            tokens += [issuer.pair(session, token, Role.USER, at=now).access_token for session, token in opened]
    return tokens


def main() -> None:
    people = [UUID(id) for id in json.load(sys.stdin)]
    json.dump(asyncio.run(sign_in(people, Settings.load())), sys.stdout)


if __name__ == "__main__":
    main()
