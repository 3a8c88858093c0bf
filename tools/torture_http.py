"""Ask the application what a generator makes up from its OpenAPI document: `make torture-http ARGS="--cases 200000"`.

No answer may be an internal error, and each must be as the document has it. What fails is printed with its seed.
"""

import argparse
import asyncio
import logging
import sys
import time
from typing import Final

from entrypoints.http.app import create_app, openapi_document
from tests.fakes import SettableClock
from tests.integration.http.conftest import a_container, open_client
from tests.integration.http.contract import Contract
from tests.integration.http.generated import Generator
from tests.integration.http.torture import wrong_answers

_BATCH: Final = 2_000
"""Requests of one seed and one application: what one of them stores, another may find."""


async def _batch(seed: int, number: int) -> list[str]:
    container = a_container(SettableClock())
    contract = Contract(openapi_document(container))
    app = create_app(container)
    async with open_client(app) as client:
        body = {"email": "alice@example.com", "password": "a walrus in the library", "username": "alice"}
        token = (await client.post("/api/v1/auth/signup", json=body)).json()["access_token"]
    return await wrong_answers(app, contract, Generator(contract.document, seed).requests(number), [token, token, ""])


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--cases", type=int, default=50_000)
    arguments.add_argument("--seed", type=int, default=int(time.time()), help="the first one")
    given = arguments.parse_args()
    logging.disable(logging.ERROR)
    failed = 0
    for number, begin in enumerate(range(0, given.cases, _BATCH)):
        seed = given.seed + number
        for what in asyncio.run(_batch(seed, min(_BATCH, given.cases - begin))):
            failed += 1
            print(f"seed {seed}: {what}", flush=True)  # noqa: T201
        told = f"{min(begin + _BATCH, given.cases):,} of {given.cases:,} requests, {failed} wrong"
        print(told, flush=True)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
