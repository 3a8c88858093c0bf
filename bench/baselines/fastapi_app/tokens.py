"""Signs many people in, all of a log-in but the hash: `python -m bench.baselines.fastapi_app.tokens`.

User ids as JSON on standard input, access tokens on standard output.
"""

import asyncio
import json
import sys
import uuid

from sqlalchemy import select

from bench.baselines.fastapi_app.database import engine, writing
from bench.baselines.fastapi_app.models import User
from bench.baselines.fastapi_app.security import open_session


async def sign_in(people: list[uuid.UUID]) -> list[str]:
    tokens: list[str] = []
    async with writing() as session:
        for begin in range(0, len(people), 128):
            some = people[begin : begin + 128]
            found = {user.id: user for user in await session.scalars(select(User).where(User.id.in_(some)))}
            pairs = [open_session(session, found[id], user_agent="bench", address="127.0.0.1") for id in some]
            tokens += [pair.access_token for pair in pairs]
            await session.commit()
    await engine.dispose()
    return tokens


def main() -> None:
    json.dump(asyncio.run(sign_in([uuid.UUID(id) for id in json.load(sys.stdin)])), sys.stdout)


if __name__ == "__main__":
    main()
