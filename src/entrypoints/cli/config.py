"""`postern config`."""

import json

import click

from entrypoints.cli.loading import load_settings


@click.command(epilog="Examples: `postern config`, `DATABASE_URL=mysql://app@db/postern postern config`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of NAME=value lines.")
def config(*, as_json: bool) -> None:
    """Show every setting as it takes effect.

    Secrets are masked, also inside URLs, so that the output may go into a bug report. Faulty settings are listed with
    what was expected of them, and the exit code is 3.
    """
    shown = load_settings().shown()
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    for name, text in shown.items():
        click.echo(f"{name}={text}")
