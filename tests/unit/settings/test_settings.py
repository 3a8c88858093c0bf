"""Settings: what is read from where, what is refused, and what is never shown."""

import stat
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path

import pytest

from adapters.security.hashing import available_cores
from entrypoints.settings import (
    BadSettings,
    Environment,
    LogLevel,
    Settings,
    development_key,
    mask_url,
    secret_key_weakness,
    setting_infos,
)
from entrypoints.settings.misspelt import misspelt_names
from entrypoints.settings.values import DEFAULT_SENDER, checked_mail_address

GOOD_KEY = "qV0m2c7xW1p9Zr4sT6uY8bN3dF5gH7jK9lA1eC3v"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": GOOD_KEY,
    "DATABASE_URL": "mysql+asyncmy://app:swordfish@db/postern?charset=utf8mb4",
}
TESTING = {"ENVIRONMENT": "testing", "DATABASE_URL": "memory://"}


def faults_of(environ: dict[str, str]) -> dict[str, str]:
    with pytest.raises(BadSettings) as caught:
        Settings.load(environ)
    return {fault.name: str(fault) for fault in caught.value.faults}


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no setting in the process's environment."""
    monkeypatch.chdir(tmp_path)
    for name in setting_infos():
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_development_needs_no_setting_at_all(in_directory: Path) -> None:
    settings = Settings.load()

    assert settings.environment is Environment.DEVELOPMENT
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.database_url == "sqlite+aiosqlite:///.postern/postern.db"
    assert settings.sqlite_file == Path(".postern/postern.db")
    assert settings.redis_url is None
    assert settings.access_token_seconds == 1800
    assert settings.cache_ttl_seconds == 300
    assert settings.log_level is LogLevel.INFO


def test_the_environment_wins_over_the_file_and_an_empty_value_counts_as_unset(
    in_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_directory / ".env").write_text("PORT=7001\nWORKERS=3\nexport LOG_LEVEL='debug' # quietly\n# HOST=nowhere\n")
    monkeypatch.setenv("PORT", "7002")
    monkeypatch.setenv("WORKERS", "")
    monkeypatch.setenv("HOST", " ")

    settings = Settings.load()

    assert (settings.port, settings.workers, settings.log_level) == (7002, 3, LogLevel.DEBUG)
    assert settings.host == "127.0.0.1"


def test_a_dollar_in_the_file_is_a_dollar(in_directory: Path) -> None:
    (in_directory / ".env").write_text(f"SECRET_KEY={GOOD_KEY}${{HOME}}\n")

    assert Settings.load().secret_key == GOOD_KEY + "${HOME}"


@pytest.mark.parametrize("line", ["PORT", "= 8000", "this is no setting", "'"])
def test_a_line_of_the_file_that_is_no_setting_is_reported_with_its_number(in_directory: Path, line: str) -> None:
    (in_directory / ".env").write_text(f"WORKERS=2\n{line}\n")

    with pytest.raises(BadSettings, match=r"^\.env .*NAME=value on line 2$"):
        Settings.load()


def test_a_file_that_is_not_text_is_reported(in_directory: Path) -> None:
    (in_directory / ".env").write_bytes(b"PORT=\xff\xfe")

    with pytest.raises(BadSettings, match="a readable file in UTF-8"):
        Settings.load()


def test_every_fault_is_reported_at_once_with_name_value_and_what_was_expected() -> None:
    faults = faults_of(
        PRODUCTION
        | {
            "PORT": "http",
            "WORKERS": "0",
            "LOG_LEVEL": "loud",
            "CORS_ORIGINS": "app.example.com",
            "ALLOWED_HOSTS": "https://api.example.com",
            "CACHE_TTL_SECONDS": "301",
            "DATABASE_POOL_TIMEOUT_SECONDS": "-1",
            "REDIS_URL": "http://cache",
        }
    )

    assert set(faults) == {
        "PORT",
        "WORKERS",
        "LOG_LEVEL",
        "CORS_ORIGINS",
        "ALLOWED_HOSTS",
        "CACHE_TTL_SECONDS",
        "DATABASE_POOL_TIMEOUT_SECONDS",
        "REDIS_URL",
    }
    assert faults["PORT"] == "PORT is 'http'; expected a port number from 1 to 65535"


@pytest.mark.parametrize("environment", ["production", "staging"])
@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "no default"),
        ("short", "5 bytes"),
        (GOOD_KEY[:31], "31 bytes"),
        ("change-me-change-me-change-me-change-me", "placeholder"),
        ("your-256-bit-secret-your-256-bit-secret", "placeholder"),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "published"),
        ("abababababababababababababababababababab", "repeats"),
    ],
)
def test_a_missing_short_or_known_key_is_refused_where_strangers_come(environment: str, key: str, why: str) -> None:
    faults = faults_of(PRODUCTION | {"ENVIRONMENT": environment, "SECRET_KEY": key})

    assert set(faults) == {"SECRET_KEY"}
    assert why in faults["SECRET_KEY"]
    assert not key or key not in faults["SECRET_KEY"]


def test_a_random_key_of_32_bytes_is_taken() -> None:
    assert secret_key_weakness(GOOD_KEY[:32]) is None
    assert Settings.load(PRODUCTION).secret_key == GOOD_KEY


def test_production_names_its_database() -> None:
    assert set(faults_of({k: v for k, v in PRODUCTION.items() if k != "DATABASE_URL"})) == {"DATABASE_URL"}
    assert set(faults_of(PRODUCTION | {"DATABASE_URL": "memory://"})) == {"DATABASE_URL"}


def test_production_hashes_at_the_floor_of_owasp_or_above() -> None:
    weak = {"PASSWORD_HASH_MEMORY_KIB": "19455"}
    assert set(faults_of(PRODUCTION | weak)) == {"PASSWORD_HASH_MEMORY_KIB"}
    assert Settings.load(PRODUCTION | weak | {"PASSWORD_HASH_ITERATIONS": "3"}).hashing.iterations == 3
    assert Settings.load(TESTING | {"PASSWORD_HASH_MEMORY_KIB": "8"}).hashing.memory_kib == 8


def test_lanes_of_a_hash_need_memory() -> None:
    faults = faults_of(TESTING | {"PASSWORD_HASH_MEMORY_KIB": "16", "PASSWORD_HASH_PARALLELISM": "4"})

    assert set(faults) == {"PASSWORD_HASH_MEMORY_KIB"}


def test_workers_share_neither_a_database_in_memory_nor_a_key_that_each_makes() -> None:
    faults = faults_of(TESTING | {"WORKERS": "2"})

    assert set(faults) == {"WORKERS", "SECRET_KEY"}
    assert Settings.load(TESTING | {"WORKERS": "2", "DATABASE_URL": "sqlite:///x.db", "SECRET_KEY": "k"}).workers == 2


@pytest.mark.parametrize(
    ("spelling", "url"),
    [
        ("sqlite:///posts.db", "sqlite+aiosqlite:///posts.db"),
        ("sqlite:////var/lib/posts.db", "sqlite+aiosqlite:////var/lib/posts.db"),
        ("sqlite+aiosqlite:///posts.db", "sqlite+aiosqlite:///posts.db"),
        ("mysql://u:p@h/d?charset=utf8mb4", "mysql+asyncmy://u:p@h/d?charset=utf8mb4"),
        ("mysql+asyncmy://u:p@h:3307/d", "mysql+asyncmy://u:p@h:3307/d"),
        ("mariadb://u@h/d", "mysql+asyncmy://u@h/d"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u:p@[::1]:5433/d", "postgresql+asyncpg://u:p@[::1]:5433/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("memory://", "memory://"),
    ],
)
def test_the_common_spellings_of_a_database_url_mean_our_driver(spelling: str, url: str) -> None:
    settings = Settings.load(TESTING | {"DATABASE_URL": spelling})

    assert settings.database_url == url
    assert settings.database.url == url


@pytest.mark.parametrize(
    "url",
    [
        "posts.db",
        "sqlite://posts.db",
        "sqlite:///:memory:",
        "sqlite:///",
        "mysql+pymysql://u:p@h/d",
        "mysql://u:p@h",
        "mysql:///d",
        "postgresql://u:p@h:port/d",
        "oracle://u:p@h/d",
    ],
)
def test_what_is_no_url_of_a_database_we_know_is_refused(url: str) -> None:
    assert set(faults_of(TESTING | {"DATABASE_URL": url})) == {"DATABASE_URL"}


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("mysql://app:swordfish@db/postern", "mysql://app:***@db/postern"),
        ("mysql://app:sword@fish:/x@db/postern", "mysql://app:***@db/postern"),
        ("mysql://app@db:3306/postern", "mysql://app@db:3306/postern"),
        ("redis://:swordfish@cache:6379/0", "redis://:***@cache:6379/0"),
        ("redis://cache?password=swordfish&db=1", "redis://cache?password=***&db=1"),
        ("app:swordfish@db/postern", "app:***@db/postern"),
        ("sqlite:///posts.db", "sqlite:///posts.db"),
    ],
)
def test_a_password_is_masked_inside_a_url(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_no_secret_is_shown_by_repr_by_the_list_of_settings_or_by_a_fault() -> None:
    environ = PRODUCTION | {"REDIS_URL": "redis://:swordfish@cache/0"}
    settings = Settings.load(environ)

    for text in (repr(settings), str(settings.shown()), repr(settings.database)):
        assert "swordfish" not in text
        assert GOOD_KEY not in text
    assert settings.shown()["DATABASE_URL"] == "mysql+asyncmy://app:***@db/postern?charset=utf8mb4"
    assert settings.shown()["SECRET_KEY"] == "*** (40 bytes)"
    assert "swordfish" not in str(faults_of(environ | {"DATABASE_URL": "mysqll://app:swordfish@db/postern"}))


def test_what_depends_on_other_settings_is_shown_as_it_takes_effect() -> None:
    shown = Settings.load({"ENVIRONMENT": "development", "PORT": "8123"}).shown()
    assert (shown["DRAIN_SECONDS"], shown["RELAY_EMBEDDED"]) == ("0", "true")
    assert (shown["PUBLIC_URL"], shown["API_URL"]) == ("http://127.0.0.1:8123",) * 2
    assert int(shown["PASSWORD_HASH_THREADS"]) == max(1, available_cores() - 1)
    shown = Settings.load(PRODUCTION).shown()
    assert (shown["DRAIN_SECONDS"], shown["RELAY_EMBEDDED"]) == ("5", "false")
    given = {
        "DRAIN_SECONDS": "2.5",
        "RELAY_EMBEDDED": "true",
        "PASSWORD_HASH_THREADS": "7",
        "API_URL": "https://a.example",
    }
    assert given.items() <= Settings.load(PRODUCTION | given).shown().items()


def test_the_names_of_the_machine_itself_are_always_allowed_as_hosts() -> None:
    assert Settings.load(TESTING).allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert Settings.load(TESTING | {"HOST": "0.0.0.0"}).allowed_hosts == ("localhost", "127.0.0.1", "[::1]")
    assert Settings.load(TESTING | {"HOST": "10.0.0.7"}).allowed_hosts[3:] == ("10.0.0.7",)
    assert Settings.load(TESTING | {"HOST": "FD00::7"}).allowed_hosts[3:] == ("[fd00::7]",)
    named = Settings.load(TESTING | {"ALLOWED_HOSTS": "API.example.com, *.example.org ,localhost"})
    assert named.allowed_hosts[3:] == ("api.example.com", "*.example.org")


def test_origins_are_a_list_of_origins_or_a_star_alone() -> None:
    environ = TESTING | {"CORS_ORIGINS": "https://app.example.com, http://localhost:5173"}

    assert Settings.load(environ).cors_origins == ("https://app.example.com", "http://localhost:5173")
    assert Settings.load(TESTING | {"CORS_ORIGINS": "*"}).cors_origins == ("*",)
    for wrong in ("*,https://app.example.com", "https://app.example.com/", "null", "ftp://app.example.com"):
        assert set(faults_of(TESTING | {"CORS_ORIGINS": wrong})) == {"CORS_ORIGINS"}


def test_pool_and_hashing_settings_reach_the_adapters() -> None:
    settings = Settings.load(
        TESTING
        | {
            "DATABASE_URL": "mysql://h/d",
            "DATABASE_POOL_SIZE": "3",
            "DATABASE_MAX_OVERFLOW": "4",
            "DATABASE_POOL_TIMEOUT_SECONDS": "0.5",
            "DATABASE_CONNECT_TIMEOUT_SECONDS": "1.5",
            "DATABASE_STATEMENT_TIMEOUT_SECONDS": "2.5",
            "PASSWORD_HASH_THREADS": "2",
            "PASSWORD_HASH_QUEUE": "9",
        }
    )

    database = settings.database
    assert (database.pool_size, database.max_overflow, database.pool_timeout_seconds) == (3, 4, 0.5)
    assert (database.connect_timeout_seconds, database.statement_timeout_seconds) == (1.5, 2.5)
    assert (settings.hashing.threads, settings.hashing.queue) == (2, 9)


def test_a_development_key_is_made_once_and_is_its_owners_alone(in_directory: Path) -> None:
    first = Settings.load().secret_key
    file = in_directory / ".postern" / "secret_key"

    assert secret_key_weakness(first) is None
    assert Settings.load().secret_key == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: development_key(tmp_path / "data" / "secret_key"), range(40)))

    assert len(keys) == 1


def test_a_damaged_development_key_is_reported_and_not_replaced(in_directory: Path) -> None:
    file = in_directory / ".postern" / "secret_key"
    file.parent.mkdir()
    file.write_text("truncat")

    with pytest.raises(BadSettings, match="remove it to get a new key"):
        Settings.load()
    assert file.read_text() == "truncat"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RATE_LIMIT_USER", "0/minute"),
        ("RATE_LIMIT_USER", "-1/minute"),
        ("RATE_LIMIT_USER", "10/fortnight"),
        ("RATE_LIMIT_USER", "10/0 minutes"),
        ("RATE_LIMIT_USER", "ten a minute"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),  # a slip of the pen: which one is meant?
        ("TRUSTED_PROXIES", "proxy.example.com"),
        ("METRICS_ALLOWED", "everybody"),
        ("METRICS_TOKEN", "too short"),
        ("REQUEST_LOG", "maybe"),
    ],
)
def test_what_is_no_rate_network_or_token_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadSettings) as caught:
        Settings.load({**TESTING, name: text})

    assert [fault.name for fault in caught.value.faults] == [name]


def test_settings_given_as_a_mapping_are_all_there_is(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_directory / ".env").write_text("PORT=7001\n")
    monkeypatch.setenv("WORKERS", "2")

    settings = Settings.load(TESTING)

    assert (settings.port, settings.workers) == (8000, 1)
    assert [path.name for path in in_directory.iterdir()] == [".env"]


def test_the_readme_and_the_example_file_know_every_setting_and_no_other() -> None:
    root = Path(__file__).parents[3]
    readme = (root / "README.md").read_text()
    in_table = [line.split("`")[1] for line in readme.splitlines() if line.startswith("| `") and line[3].isupper()]
    example = (root / ".env.example").read_text()
    in_example = [line.lstrip("# ").partition("=")[0] for line in example.splitlines() if "=" in line]

    assert in_table == list(setting_infos())
    assert sorted(name for name in in_example if name.isupper()) == sorted(setting_infos())


def test_the_sender_that_is_not_checked_at_a_start_is_a_good_one() -> None:
    assert checked_mail_address(DEFAULT_SENDER) == DEFAULT_SENDER


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("RATE_LIMIT_ADRESS", "RATE_LIMIT_ADDRESS"),
        ("SECRETKEY", "SECRET_KEY"),
        ("SECERT_KEY", "SECRET_KEY"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("ALLOWED_HOST", "ALLOWED_HOSTS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("database_url", "DATABASE_URL"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("SMTP_URI", "SMTP_URL"),
        ("ADMIN_PASSWORT", "ADMIN_PASSWORD"),
    ],
)
def test_a_misspelt_name_in_the_file_is_told_with_the_nearest_right_one(
    in_directory: Path, written: str, meant: str
) -> None:
    (in_directory / ".env").write_text(f"PORT=8001\n{written}=x\n")

    [line] = misspelt_names(in_directory, setting_infos())
    assert line == f"{written} in .env is not a setting and has no effect; did you mean {meant}?"


def test_right_names_and_those_of_other_programs_are_not_told(in_directory: Path) -> None:
    others = (
        "TZ",
        "COMPOSE_PROJECT_NAME",
        "NODE_ENV",
        "MYSQL_PASSWORD",
        "RABBITMQ_PASSWORD",
        "PUBLISH",
        "ADMIN_PASSWORD",
    )
    (in_directory / ".env").write_text("".join(f"{name}=1\n" for name in (*setting_infos(), *others)))

    assert list(misspelt_names(in_directory, setting_infos())) == []


def test_without_a_file_nothing_is_misspelt(in_directory: Path) -> None:
    assert list(misspelt_names(in_directory, setting_infos())) == []


def test_no_setting_resembles_another_so_much_that_the_hint_would_mislead() -> None:
    """Leaving out or doubling one letter still leads to the setting that was meant."""
    names = sorted(setting_infos())
    for name in names:
        for wrong in (name[:-1], name + name[-1], name[:3] + name[4:]):
            if wrong not in names and len(name) > 5:
                assert get_close_matches(wrong, names, n=1, cutoff=0.75) == [name], wrong


@pytest.mark.parametrize(
    ("given", "alone"), [("", True), ("localhost", True), ("api.example.com", False), ("*", False)]
)
def test_a_server_that_no_name_leads_to_is_told_of(given: str, alone: bool) -> None:
    assert Settings.load({**PRODUCTION, "ALLOWED_HOSTS": given}).allows_own_hosts_only is alone


def test_a_server_drains_where_load_balancers_have_to_notice() -> None:
    assert Settings.load({"SECRET_KEY": "k" * 40}).effective_drain_seconds == 0
    assert Settings.load(PRODUCTION).effective_drain_seconds == 5
    assert Settings.load({**PRODUCTION, "DRAIN_SECONDS": "0"}).effective_drain_seconds == 0
    assert Settings.load({"SECRET_KEY": "k" * 40, "DRAIN_SECONDS": "2.5"}).effective_drain_seconds == 2.5
