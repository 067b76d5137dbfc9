"""A process that forks: each side has sockets of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from lmstudio_testing import NO_ANSWER

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

BEGIN = """
import gc, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forking with threads
import lmstudio_core as lms
from lmstudio_core.protocol.operations import Call, Channel, Endpoint

def echo(value, name="echo"):
    return Call(Endpoint("test", name), value)

class Count(Channel):
    endpoint = Endpoint("test", "count", "channel")
    def feed(self, message):
        return [message]

def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
        sys.exit(0)  # with everything that runs at exit
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run(server, script):
    code = BEGIN + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code, server.api_host], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr


def test_a_child_uses_the_default_client(server):
    server.on("test.echo", lambda parameter: parameter)
    run(
        server,
        """
        client = lms.get_default_client(sys.argv[1])
        assert client.run(echo("parent")) == "parent"

        def child():
            assert lms.get_default_client().run(echo("child")) == "child"

        in_child(child)
        assert client.run(echo("parent again")) == "parent again"
        """,
    )
    parameters = [request.parameter for request in server.requests]
    assert parameters == ["parent", "child", "parent again"]
    assert server.requests[0].socket is server.requests[2].socket
    assert server.requests[1].socket is not server.requests[0].socket
    server.wait_until_closed()


def test_a_stream_of_the_parent_goes_on_there_alone(server):
    server.on_channel("test.count", lambda channel: channel.send("one"))
    server.on("test.next", lambda _: server.requests_to("test.count")[0].send("two"))
    run(
        server,
        """
        client = lms.get_default_client(sys.argv[1])
        stream = client.open(Count())
        assert next(stream) == "one"

        def child():
            global stream
            for use in (stream.cancel, lambda: stream.send("x"), lambda: next(stream)):
                try:
                    use()
                except lms.LMStudioRuntimeError as error:
                    assert "parent" in str(error)
                else:
                    raise AssertionError(use)
            stream.close()
            del stream
            gc.collect()

        in_child(child)
        client.run(echo(1, "next"))
        assert next(stream) == "two"
        stream.close()
        """,
    )
    channel = server.requests_to("test.count")[0]
    assert channel.wait_for_message() == {"type": "cancel"}
    assert len(channel.messages) == 1
    assert [frame["type"] for _, frame in server.frames] == [
        "channelCreate",
        "rpcCall",
        "channelSend",
    ]


def test_forking_while_another_thread_waits(server):
    server.on("test.echo", lambda parameter: parameter)
    finished: list[object] = []

    def finish(_: object) -> None:
        finished.append(True)
        for request in server.requests_to("test.slow"):
            request.reply("slow")

    # The thread may write its request only when it has the lock again, after the other one's.
    server.on("test.slow", lambda _: "slow" if finished else NO_ANSWER)
    server.on("test.finish", finish)
    run(
        server,
        """
        client = lms.get_default_client(sys.argv[1])
        client.connect("test")
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(client.run(echo(1, "slow"))))
        waiting.start()
        connection = client._driver._connections["test"]
        while connection._leader is None:
            pass
        connection._lock.acquire()  # as if the other thread were in the middle of something
        client._driver._locks["test"].acquire()

        def child():
            assert lms.get_default_client().run(echo("child")) == "child"
            client.disconnect("test")

        pid = os.fork()
        if pid == 0:
            child()
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        connection._lock.release()
        client._driver._locks["test"].release()
        client.run(echo(1, "finish"))
        waiting.join()
        assert answers == ["slow"]
        """,
    )
