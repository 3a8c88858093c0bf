"""`postern openapi`."""

import json

import click

from entrypoints.settings import Settings


@click.command(epilog="Example: `postern openapi > openapi.json`.")
@click.option("--indent", default=2, type=click.IntRange(0, 8), help="Blanks per level; 0 for one line.")
def openapi(*, indent: int) -> None:
    """Print the OpenAPI 3.1 document of the HTTP API, the same that the server gives at /openapi.json.

    It needs no database, no settings and no running server.
    """
    from entrypoints.container import Container  # noqa: PLC0415 - help comes without the web framework
    from entrypoints.http.app import openapi_document  # noqa: PLC0415

    settings = Settings.load({"ENVIRONMENT": "testing", "DATABASE_URL": "memory://"})
    document = openapi_document(Container(settings=settings))
    click.echo(json.dumps(document, ensure_ascii=False, indent=indent or None))
