"""What commands begin with: the settings, or one line for each that is wrong."""

import os

from entrypoints.cli.failures import BadSetting
from entrypoints.settings import BadSettings, Settings


def load_settings(**overrides: object) -> Settings:
    """Read the settings. Options given on the command line win; they are passed on to worker processes too.

    Workers read their settings anew, which is why an override goes into the environment.
    """
    for name, value in overrides.items():
        if value is not None:
            os.environ[name.upper()] = str(value)
    try:
        return Settings.load()
    except BadSettings as error:
        raise BadSetting(str(error)) from error
