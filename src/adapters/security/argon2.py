"""Argon2id (RFC 9106) in threads of its own."""

import asyncio
import contextlib
import math
import os
import secrets
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, Type

from adapters.security.hashing import HashingSettings, available_cores
from application.identity.ports import PasswordCheck, PasswordHasher
from application.shared.errors import Overloaded
from domain.identity.values import PASSWORD_MAX_LENGTH, Password

__all__ = ["Argon2PasswordHasher", "HashingSettings", "available_cores"]

T = TypeVar("T")

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_LONGEST_ADVICE_SECONDS: Final = 30
_NICENESS: Final = 5
_TOLD_TOGETHER: Final = 4
_SPARED_SECONDS: Final = 0.001
"""What one log-in costs less when others are finished with it, in time of the core. A hash leaves nothing of the loop's
in the processor's caches: what takes 0.4 ms there, behind another, takes 1.7 behind a hash."""


class Argon2PasswordHasher(PasswordHasher):
    """Hashes and verifies in a bounded pool of threads; Argon2 leaves the GIL alone while it works.

    The pool is not asyncio's default executor, where hashing would hold up file and DNS work, and its threads run at
    a lower priority (on Linux), so that a flood of log-ins does not slow other requests down. When as many wait as
    may, the next is told so at once, with the time in which the queue should have emptied.

    Where the loop has no core for itself and many wait, a few hashes are told of together: what follows them is cheaper
    by so much that even those who are told later are told sooner.
    """

    def __init__(self, settings: HashingSettings) -> None:
        self._argon2 = Argon2(
            time_cost=settings.iterations,
            memory_cost=settings.memory_kib,
            parallelism=settings.parallelism,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
            type=Type.ID,
        )
        self._dummy = _hash_of_nothing(settings)
        self._threads = settings.threads_at_once
        self._capacity = self._threads + settings.queue
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2", initializer=_lower_priority)
        # Then what the loop spares, the hashes get.
        self._shares_a_core = available_cores() <= self._threads
        self._lock = threading.Lock()
        self._admitted = 0
        self._ended: list[asyncio.Future[None]] = []
        """Who waits for a hash that has ended, and was not told yet."""
        self._seconds_each = 0.02
        self._closed = threading.Event()

    @property
    def admitted(self) -> int:
        """How many hashes are being computed or wait."""
        return self._admitted

    async def hash(self, password: Password) -> str:
        if len(password.value) > PASSWORD_MAX_LENGTH:
            raise ValueError("a password that is stored has passed Password.new")
        secret = _encode(password)
        return await self._run(lambda: self._argon2.hash(secret))

    async def verify(self, password_hash: str | None, password: Password) -> PasswordCheck:
        secret = _encode(password)
        # Nothing longer was ever accepted, so it matches nothing; the work is done all the same.
        stored = password_hash if len(password.value) <= PASSWORD_MAX_LENGTH else None
        return await self._run(lambda: self._verdict(stored, secret))

    async def close(self) -> None:
        """Let running hashes end, turn those that wait away, and take no more."""
        self._closed.set()
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _verdict(self, stored: str | None, secret: bytes) -> PasswordCheck:
        if stored is not None:
            try:
                self._argon2.verify(stored, secret)
                return PasswordCheck(matches=True, outdated=self._argon2.check_needs_rehash(stored))
            except VerifyMismatchError:
                return PasswordCheck(matches=False, outdated=False)
            except (InvalidHashError, VerificationError, UnicodeEncodeError):
                # Not a hash that can be read, so no work was done yet. (Or there was no memory for it, in which case
                # the next attempt fails too, and says so.)
                pass
        with contextlib.suppress(VerifyMismatchError):
            self._argon2.verify(self._dummy, secret)
        return PasswordCheck(matches=False, outdated=False)

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._closed.is_set() or self._admitted >= self._capacity:
                raise self._overloaded()
            self._admitted += 1
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            future = self._executor.submit(self._timed, work)
        except RuntimeError:  # Shut down between the check and here.
            with self._lock:
                self._admitted -= 1
            raise self._overloaded() from None
        # The place is given back when the work is over or was cancelled while it waited, and not when the caller
        # stops waiting: a thread that still computes is still taken.
        future.add_done_callback(lambda _: self._end(ended))
        try:
            await ended
        except asyncio.CancelledError:
            future.cancel()
            raise
        try:
            return future.result()
        except CancelledError:
            # It was the pool that gave up, not the caller.
            raise self._overloaded() from None
        except (HashingError, VerificationError) as error:
            # Argon2 could not get its memory.
            raise self._overloaded() from error

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return work()
        finally:
            # An estimate for advice only: a lost update between threads does no harm.
            self._seconds_each += 0.1 * (time.monotonic() - began - self._seconds_each)

    def _end(self, ended: "asyncio.Future[None]") -> None:
        """Give a place back, and tell who waits, some together: whatever happens, the last one tells all."""
        with self._lock:
            self._admitted -= 1
            self._ended.append(ended)
            if len(self._ended) < _TOLD_TOGETHER and not self._closed.is_set() and self._batching_pays():
                return
            told, self._ended = self._ended, []
        for loop in {each.get_loop() for each in told}:
            with contextlib.suppress(RuntimeError):  # It is closed, and nobody waits any more.
                loop.call_soon_threadsafe(_notify, [each for each in told if each.get_loop() is loop])

    def _batching_pays(self) -> bool:
        """Whether those who wait for a hash gain, all together, more than those lose who wait to be told."""
        lost = (_TOLD_TOGETHER - 1) / 2 * self._seconds_each / self._threads
        return self._shares_a_core and self._admitted * _SPARED_SECONDS >= lost

    def _overloaded(self) -> Overloaded:
        error = Overloaded()
        seconds = self._admitted * self._seconds_each / self._threads
        error.retry_after_seconds = min(_LONGEST_ADVICE_SECONDS, max(1, math.ceil(seconds)))
        return error


def _notify(waiting: Sequence["asyncio.Future[None]"]) -> None:
    for each in waiting:
        if not each.done():  # Its caller hung up.
            each.set_result(None)


def _encode(password: Password) -> bytes:
    # Cut to one character more than can be stored. Lone surrogates pass: they are bytes like any other here.
    return password.value[: PASSWORD_MAX_LENGTH + 1].encode("utf-8", "surrogatepass")


def _hash_of_nothing(settings: HashingSettings) -> str:
    """Return a hash under these parameters that no password has: verifying against it costs what any other costs.

    Salt and digest are drawn at random, which needs no hash computed at start.
    """
    salt, digest = (b64encode(secrets.token_bytes(n)).rstrip(b"=").decode() for n in (_SALT_BYTES, _HASH_BYTES))
    costs = f"m={settings.memory_kib},t={settings.iterations},p={settings.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"


def _lower_priority() -> None:
    """Lower this thread's priority: on Linux, niceness belongs to the thread, not to the process."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # A sandbox may forbid it, and an initializer that fails breaks the pool.
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)
