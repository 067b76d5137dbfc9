"""Hundreds of interrupts wherever they hit; no thread may be left waiting for ever."""

from __future__ import annotations

import faulthandler
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from core_clients import Count, echo

from lmstudio_core import errors
from lmstudio_core.client import Client
from lmstudio_core.protocol.operations import Batch
from lmstudio_testing import FakeServer

PATIENCE = 20
INTERRUPTS = 400


class Hammer:
    """Strikes the main thread while it works; one exception for each time it is armed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.armed = False
        self.done = threading.Event()
        signal.signal(signal.SIGINT, self.on_signal)

    def on_signal(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def strike(self) -> None:
        choose = random.Random(7)
        while not self.done.wait(choose.random() * 0.002):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def bystander(self, number: int) -> int:
        """Another thread, which is to get all its answers, or to hear that a connection ended."""
        answers = 0
        while not self.done.is_set():
            try:
                assert self.client.run(echo(number)) == number
                answers += 1
            except errors.LMStudioConnectionError:
                continue
        return answers

    def work(self) -> None:
        interrupts = 0
        while interrupts < INTERRUPTS:
            try:
                self.armed = True
                if interrupts % 2:
                    for _ in self.client.open(Count()):
                        break
                else:
                    self.client.run(Batch([echo(n) for n in range(3)]))
                self.armed = False
            except KeyboardInterrupt:
                interrupts += 1
            except errors.LMStudioConnectionError:
                self.armed = False


def main() -> None:
    faulthandler.dump_traceback_later(PATIENCE * 2, exit=True)
    with FakeServer() as server, Client(server.api_host) as client:
        server.on("test.echo", lambda parameter: parameter)
        server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
        hammer = Hammer(client)
        with ThreadPoolExecutor(4) as pool:
            bystanders = [pool.submit(hammer.bystander, n) for n in range(3)]
            striker = pool.submit(hammer.strike)
            try:
                hammer.work()
            finally:
                hammer.armed = False
                hammer.done.set()
            striker.result(PATIENCE)
            assert all(bystander.result(PATIENCE) for bystander in bystanders)
        assert client.run(echo("still")) == "still"
        connection = client._driver._connections["test"]
        assert connection._leader is None
        assert not connection._parked
        with ThreadPoolExecutor(1) as pool:  # in another thread: the locks are reentrant
            for lock in (connection._lock, connection._write_lock):
                assert pool.submit(lock.acquire, blocking=False).result(PATIENCE)
    print("well")


if __name__ == "__main__":
    main()
