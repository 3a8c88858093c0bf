"""How long `postern serve` takes to be ready, in CPU time too, and what its processes hold: `python -m bench.startup`.

What is started is installed with nothing but what the product needs, see `bench.environments`. Where more than one
command is given, they are started in turns, so that whatever else the machine does hits all.

Wall-clock time is from the start of the process to the first 200 of /health/ready. CPU time is user and system time of
all processes until then, with a grain of 10 ms. The first start of each is not counted: it may have to compile.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.environments import PRODUCT
from bench.processes import Cores, Server, ServerFailed, cpu_seconds, free_port
from bench.servers import DATABASES, TITLES, Unavailable, create_database, drop_database

READY: Final = "/health/ready"
_NAME: Final = "postern_bench_startup"


@dataclass(slots=True)
class Found:
    """What the starts of one command on one database took."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    resident: list[dict[str, float]] = field(default_factory=list)
    """MiB by process, largest first."""
    proportional: list[float] = field(default_factory=list)
    """MiB of all processes, each page divided among those that share it."""

    def line(self) -> str:
        sizes = [statistics.median(sizes) for sizes in zip(*(each.values() for each in self.resident), strict=False)]
        return (
            f"{statistics.median(self.seconds):5.2f} s ({min(self.seconds):.2f} to {max(self.seconds):.2f})   "
            f"CPU {statistics.median(self.cpu):.2f} s ({min(self.cpu):.2f} to {max(self.cpu):.2f})   "
            f"MiB {', '.join(f'{size:.0f}' for size in sizes)}; shared pages once {max(self.proportional):.0f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    cores = Cores.of_this_machine()
    pinned = [cores.server, cores.load] if options.both_cores else [cores.server]
    for kind in options.databases or ("sqlite", *DATABASES):
        try:
            with tempfile.TemporaryDirectory(prefix="postern-startup-") as folder, _database(kind, folder) as url:
                commands = options.postern or [Path(PRODUCT.program("postern"))]
                found = _measure(commands, url, Path(folder), pinned, options.rounds)
        except Unavailable as reason:
            print(f"{TITLES[kind]}: {reason}")
            continue
        except (ServerFailed, subprocess.CalledProcessError) as failure:
            print(f"startup: {TITLES[kind]}: {failure}", file=sys.stderr)
            return 1
        for command, each in found.items():
            print(f"{TITLES[kind]:<11} {each.line()}   {command if len(found) > 1 else ''}".rstrip())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("databases", nargs="*", choices=[[], "sqlite", *DATABASES], help="default: all")
    parser.add_argument("--postern", action="append", type=Path, help="the command to start; repeat it to compare")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--both-cores", action="store_true", help="rather than one, as the benchmark does")
    return parser


@contextmanager
def _database(kind: str, folder: str) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder}/{_NAME}.db"
        return
    url = create_database(kind, _NAME)
    try:
        yield url
    finally:
        drop_database(kind, _NAME)


def _measure(commands: Sequence[Path], url: str, folder: Path, cores: Sequence[int], rounds: int) -> dict[Path, Found]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "ENVIRONMENT": "production",
        "SECRET_KEY": "no secret, for nobody but this measurement is served",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DATABASE_URL": url,
    }
    migrate = [str(commands[0].absolute()), "migrate", "--quiet"]
    subprocess.run(migrate, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    found = {command: Found() for command in commands}
    for number in range(rounds + 1):
        for command, each in found.items():
            _start(command, environment, folder, cores, each if number else Found())
    return found


def _start(command: Path, environment: Mapping[str, str], folder: Path, cores: Sequence[int], into: Found) -> None:
    port = free_port()
    server = Server(
        [str(command.absolute()), "serve"],
        port=port,
        cores=cores,
        environment={**environment, "PORT": str(port)},
        directory=folder,
        log=folder / "server.log",
        ready=READY,
    )
    try:
        into.cpu.append(sum(map(cpu_seconds, server.processes())))
        into.seconds.append(server.seconds_to_ready)
        into.resident.append(server.memory_mib())
        into.proportional.append(sum(map(_proportional_mib, server.processes())))
    finally:
        server.stop()


def _proportional_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
