"""Where settings come from, and the defaults that depend on others."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream

from entrypoints.settings.metadata import BadSettings, SettingFault, SettingInfo
from entrypoints.settings.secret_key import development_key, secret_key_weakness
from entrypoints.settings.values import MEMORY_URL, Environment

ENV_FILE = Path(".env")
DATA_DIRECTORY = Path(".postern")
"""Where development keeps its key and its SQLite file; relative to the working directory and ignored by git."""


def process_environment(directory: Path, faults: list[SettingFault]) -> dict[str, str]:
    return {**_env_file(directory / ENV_FILE, faults), **{key: text for key, text in os.environ.items() if text}}


def names_in(path: Path) -> list[str]:
    """Return the names that a `.env` sets, in its order; none of one that cannot be read, which is told elsewhere."""
    return list(_env_file(path, []))


def _env_file(path: Path, faults: list[SettingFault]) -> dict[str, str]:
    """Read `.env`. python-dotenv only parses: it skips what it cannot read, and a skipped setting is a trap."""
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        faults.append(SettingFault(str(ENV_FILE), None, f"a readable file in UTF-8 ({error})"))
        return {}
    found: dict[str, str] = {}
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            # The line itself is not shown: it may hold a secret.
            expected = f"NAME=value on line {binding.original.line}"
            faults.append(SettingFault(str(ENV_FILE), "something else", expected))
        elif binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found


class Loader:
    """Reads every setting, fills in the defaults that depend on others, and collects what is wrong."""

    def __init__(
        self, infos: Mapping[str, SettingInfo], source: Mapping[str, str], directory: Path, faults: list[SettingFault]
    ) -> None:
        self._infos = infos
        self._given = {name: text for name in self._infos if (text := source.get(name, "").strip())}
        self._directory = directory
        self._faults = faults
        self._values: dict[str, Any] = {}

    def values(self) -> dict[str, Any]:
        """Return the value of each field. Raises `BadSettings`."""
        self._values = {name.lower(): self._read(name, info) for name, info in self._infos.items()}
        environment: Environment = self._values["environment"]
        self._fill_in_database_url(environment)
        self._values["allowed_hosts"] = _with_own_hosts(self._values["allowed_hosts"], self._values["host"])
        if self._values["password_hash_memory_kib"] < 8 * self._values["password_hash_parallelism"]:
            self._fault("PASSWORD_HASH_MEMORY_KIB", "at least 8 KiB for each of PASSWORD_HASH_PARALLELISM")
        if environment.is_exposed and not _meets_owasp(self._values):
            expected = f"Argon2id at OWASP's floor or above in {environment}, such as 19456 KiB with 2 iterations"
            self._fault("PASSWORD_HASH_MEMORY_KIB", expected)
        self._fill_in_secret_key(environment)
        if environment.is_exposed and not self._values["rate_limit_enabled"]:
            self._fault("RATE_LIMIT_ENABLED", f"true in {environment}: raise the limits instead")
        if environment.is_exposed and self._values["smtp_url"] is not None:
            for name in ("MAIL_FROM", "PUBLIC_URL"):
                if name not in self._given:
                    self._fault(name, f"{self._infos[name].expected}, since SMTP_URL is set, in {environment}")
        if self._faults:
            order = list(self._infos)
            raise BadSettings(sorted(self._faults, key=lambda f: order.index(f.name) if f.name in order else -1))
        return self._values

    def _read(self, name: str, info: SettingInfo) -> object:
        text = self._given.get(name)
        if text is not None:
            try:
                return info.parse(text)
            except ValueError:
                self._fault(name)
        # Going on with the default after a fault finds the other faults.
        return None if info.default is None else info.parse(info.default)

    def _fault(self, name: str, expected: str | None = None) -> None:
        if any(fault.name == name for fault in self._faults):
            return  # A setting that cannot be read is not also too short, or missing.
        info = self._infos[name]
        text = self._given.get(name)
        shown = info.mask(text) if info.mask and text is not None else text
        self._faults.append(SettingFault(name, shown, expected or info.expected))

    def _fill_in_database_url(self, environment: Environment) -> None:
        url = self._values["database_url"]
        if url is None and environment.is_exposed:
            # A forgotten DATABASE_URL must not quietly begin a new, empty database.
            self._fault("DATABASE_URL")
        elif url is None:
            file = self._directory / DATA_DIRECTORY / "postern.db"
            self._values["database_url"] = f"sqlite+aiosqlite:///{file}"
        elif url == MEMORY_URL and environment.is_exposed:
            self._fault("DATABASE_URL", f"a database that outlives the process, in {environment}")
        elif url == MEMORY_URL and self._values["workers"] > 1:
            self._fault("WORKERS", "1, since workers cannot share a database in memory")

    def _fill_in_secret_key(self, environment: Environment) -> None:
        key = self._values["secret_key"]
        if environment.is_exposed:
            if weakness := secret_key_weakness(key or ""):
                self._fault("SECRET_KEY", f"{self._infos['SECRET_KEY'].expected} ({weakness})")
        elif key is not None:
            return
        elif environment is Environment.TESTING:
            # A test run leaves nothing behind, so each process makes its own key.
            self._values["secret_key"] = secrets.token_urlsafe(48)
            if self._values["workers"] > 1:
                self._fault("SECRET_KEY", "a key that the workers share, in testing")
        elif not self._faults:
            file = self._directory / DATA_DIRECTORY / "secret_key"
            try:
                self._values["secret_key"] = development_key(file)
            except (OSError, ValueError) as error:
                self._fault("SECRET_KEY", f"a key, or that one can be kept in {file} ({error})")


_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def own_hosts(host: str) -> tuple[str, ...]:
    """Return what a server that listens on `host` answers to without a setting."""
    return _with_own_hosts((), host)


def _with_own_hosts(named: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Add what this machine calls itself: health checks use it, and a page of somebody else's never does."""
    own = () if host in {"0.0.0.0", "::"} else (f"[{host}]" if ":" in host else host,)  # noqa: S104 - a comparison
    return tuple(dict.fromkeys((*_LOOPBACK_HOSTS, *(name.lower() for name in own), *named)))


_OWASP_FLOOR = ((47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5))
"""KiB and passes of equal strength with one lane (OWASP Password Storage Cheat Sheet, 2023)."""


def _meets_owasp(values: Mapping[str, Any]) -> bool:
    memory, passes = values["password_hash_memory_kib"], values["password_hash_iterations"]
    return any(memory >= least_memory and passes >= least_passes for least_memory, least_passes in _OWASP_FLOOR)
