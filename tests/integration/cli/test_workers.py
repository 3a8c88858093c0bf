"""How worker processes begin: which are forked, which are spawned, and what a forked one has of its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Shell, StartServer, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")

PARENT = """
import multiprocessing, os, signal, threading, time

from entrypoints.cli.process_start import be_a_worker, begin, fork_next_process

def mask():
    return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

def start(target, *arguments):
    # As the server does it: by the method that holds at this moment.
    process = multiprocessing.get_context(multiprocessing.get_start_method()).Process(
        target=work, args=(target, *arguments)
    )
    begin(process)
    return process

def work(target, *arguments):
    be_a_worker()
    target(*arguments)

def sleep():
    time.sleep(30)

signal.signal(signal.SIGTERM, lambda *_: print("the parent's handler"))
"""


def _run(code: str, folder: Path) -> list[str]:
    """Run `code` in a process that has one thread and has not begun anything, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT + code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def _is_spawned(process: int) -> bool:
    return "spawn_main" in Path(f"/proc/{process}/cmdline").read_text()


@pytest.mark.measured
def test_the_first_worker_is_forked_and_the_others_are_spawned(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start("--workers", "2")

    assert sorted(map(_is_spawned, server.workers())) == [False, True]
    assert server.stop() == 0
    assert server.complaints() == []


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"])
def test_it_is_also_forked_when_the_schema_was_looked_at_on_a_server(
    shell: Shell, start: StartServer, request: pytest.FixtureRequest, backend: str
) -> None:
    databases = request.getfixturevalue("databases")
    shell.variables["DATABASE_URL"] = url = databases.create(backend, "_fork")
    try:
        shell.migrate()
        server = start()
        (worker,) = server.workers()

        assert not _is_spawned(worker)
        assert server.request("GET", "/health/ready")[0] == 200
        assert server.stop() == 0
    finally:
        databases.drop(backend, url)


def test_what_replaces_a_forked_worker_is_spawned(shell: Shell, start: StartServer) -> None:
    shell.migrate()
    server = start()
    (worker,) = server.workers()
    assert not _is_spawned(worker)
    os.kill(worker, signal.SIGKILL)

    assert eventually(lambda: [_is_spawned(process) for process in server.workers()] == [True])
    assert server.stop() == 0


def test_a_process_with_more_than_one_thread_forks_nothing(tmp_path: Path) -> None:
    shown = _run(
        """
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
fork_next_process()
print(multiprocessing.get_start_method())
""",
        tmp_path,
    )

    assert shown == ["spawn"]


def test_a_thread_that_was_just_joined_is_waited_for(tmp_path: Path) -> None:
    shown = _run(
        """
for _ in range(50):
    thread = threading.Thread(target=time.sleep, args=(0,))
    thread.start()
    thread.join()
    from entrypoints.cli.process_start import is_alone
    assert is_alone()
print("alone")
""",
        tmp_path,
    )

    assert shown == ["alone"]


def test_what_comes_after_the_fork_is_spawned(tmp_path: Path) -> None:
    shown = _run(
        """
fork_next_process()
print(multiprocessing.get_start_method(), mask(), flush=True)
start(print).join()
print(multiprocessing.get_start_method(), mask())
""",
        tmp_path,
    )

    assert shown == ["fork []", "", "spawn []"]


def test_a_forked_worker_has_no_handlers_of_its_parent_and_leaves_ctrl_c_alone(tmp_path: Path) -> None:
    shown = _run(
        """
def show():
    print([number.name for number in mask()], [signal.getsignal(number).name for number in
          (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)])

for number in (signal.SIGHUP, signal.SIGINT):
    signal.signal(number, lambda *_: None)
fork_next_process()
start(show).join()
print(mask())
""",
        tmp_path,
    )

    assert shown == ["['SIGINT'] ['SIG_DFL', 'SIG_IGN', 'SIG_DFL']", "[]"]


def test_a_worker_that_is_ended_while_it_begins_does_end(tmp_path: Path) -> None:
    # The hook runs in the child before anything else does there: the earliest moment that a signal can be sent in.
    shown = _run(
        """
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
fork_next_process()
process = start(sleep)
process.join(10)
print(process.exitcode)
process.kill()
""",
        tmp_path,
    )

    assert shown == [str(-signal.SIGTERM)]
