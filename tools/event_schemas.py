"""Write the schemas of events into `docs/events/`, where a test holds them to what is sent.

    python -m tools.event_schemas

`digests.json` there says of each schema what it demanded when it was first written. A digest is never written anew: a
schema that demands something else is a new version, with a struct and a file of its own.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from application.events.catalogue import PUBLIC_TYPES, SCHEMAS
from application.events.views import schema_of

FOLDER: Final = Path(__file__).parent.parent / "docs" / "events"
DIGESTS: Final = FOLDER / "digests.json"
INDEX: Final = FOLDER / "README.md"

_PROSE: Final = frozenset({"title", "description", "examples", "$schema"})

_HEAD: Final = """# Events

What happens is told as CloudEvents 1.0 in JSON, the same by every way: by broker (`BROKER_URL`), by webhook and live
(`GET /api/v1/events`).

```json
{
  "specversion": "1.0",
  "id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c",
  "source": "https://api.example.com/api/v1",
  "type": "post.published",
  "subject": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
  "time": "2026-11-21T09:30:00.000000Z",
  "sequence": "00000000000000000042",
  "datacontenttype": "application/json",
  "dataschema": "https://api.example.com/api/v1/events/schemas/post.published/1",
  "data": {
    "post_id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
    "author_id": "019aa1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2d",
    "version": 1,
    "reply_to": null
  }
}
```

- An event arrives **at least once**. One that comes twice has the same `id` both times.
- `sequence` says in which **order** things happened: of two events, the one with the smaller text (CloudEvents'
  extension of this name) happened first. In which order they arrive depends on the way, see below. Whoever keeps the
  greatest `sequence` of each `subject`, and passes over what has a smaller one, never goes back to an older state.
- Events are **thin**: ids, versions, states and counts. What somebody wrote is read by its id, with the right to; so
  nothing that is deleted lives on in a queue.
- Deleting an account deletes its posts and votes; `user.deleted` tells of it, and no event for each of them.
- A schema never changes what it demands: whatever is to be said otherwise gets a new version, with a file of its own,
  and `dataschema` of each event names the one that it follows. Ignore members that you do not know.

In which order events of one `subject` arrive:

- by **RabbitMQ, Redis Streams and standard output**: in order. While the broker refuses one, the later ones of its
  subject wait for it, and other subjects do not. One that was given up (`RELAY_MAX_ATTEMPTS`) and replayed (`postern
  outbox replay`) comes after later ones;
- **live** (`GET /events`): in order, each once, after `Last-Event-ID` too; and so do those of different subjects;
- by **webhook**: in **no** promised order. Up to four deliveries to one endpoint are under way at once, and what failed
  is tried again after later ones have arrived.

By RabbitMQ, events go to the topic exchange `BROKER_TOPIC` with their type as the routing key, so that a queue bound
with `post.*` gets those of posts; bind a durable queue before you rely on it, since an exchange keeps nothing. By
Redis, they are entries of the stream `BROKER_TOPIC`, with the envelope in the field `event`.

| type | version | live for everybody | |
|---|---|---|---|
"""


def file_of(type_: str, version: int) -> Path:
    return FOLDER / f"{type_}.v{version}.json"


def text_of(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def digest_of(schema: dict[str, Any]) -> str:
    """Return a digest of what a schema demands, whatever it says to people."""
    return hashlib.sha256(json.dumps(_demands(schema), sort_keys=True).encode()).hexdigest()


def _demands(value: Any, *, named: bool = False) -> Any:
    # Below `properties` keys are names, and a property may well be called `title`.
    if isinstance(value, dict):
        return {
            key: _demands(found, named=key in {"properties", "$defs"} and not named)
            for key, found in value.items()
            if named or key not in _PROSE
        }
    return [_demands(found) for found in value] if isinstance(value, list) else value


def index() -> str:
    rows = []
    for (type_, version), data in sorted(SCHEMAS.items()):
        description = schema_of(type_, version, data)["description"].replace("\n", " ")
        live = "yes" if type_ in PUBLIC_TYPES else "no"
        rows.append(f"| [`{type_}`]({file_of(type_, version).name}) | {version} | {live} | {description} |\n")
    return _HEAD + "".join(rows)


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    digests: dict[str, str] = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    wrong = []
    for (type_, version), data in sorted(SCHEMAS.items()):
        schema = schema_of(type_, version, data)
        known = digests.setdefault(f"{type_}/{version}", digest_of(schema))
        if known != digest_of(schema):
            wrong.append(f"{type_} version {version} demands something else than it did: make it version {version + 1}")
            continue
        file_of(type_, version).write_text(text_of(schema))
    DIGESTS.write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n")
    INDEX.write_text(index())
    for line in wrong:
        sys.stderr.write(line + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
