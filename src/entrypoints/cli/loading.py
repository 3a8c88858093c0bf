"""What commands begin with: the settings, or one line for each that is wrong."""

import os
from pathlib import Path

import click

from entrypoints.cli.failures import BadSetting
from entrypoints.settings import BadSettings, Settings, setting_infos
from entrypoints.settings.misspelt import misspelt_names


def load_settings(*, tells_misspelt: bool = True, **overrides: object) -> Settings:
    """Read the settings. Options given on the command line win; they are passed on to worker processes too.

    Workers read their settings anew, which is why an override goes into the environment. What their parent has told of
    names that are misspelt they do not tell again.
    """
    for name, value in overrides.items():
        if value is not None:
            os.environ[name.upper()] = str(value)
    # Told first: a misspelt name is often why another is missing.
    for line in misspelt_names(Path(), setting_infos()) if tells_misspelt else ():
        click.echo(f"postern: {line}", err=True)
    try:
        return Settings.load()
    except BadSettings as error:
        raise BadSetting(str(error)) from error
