"""The hardening once more with the server bound to an address as in a local network.

A network namespace of the test's own holds it, so nobody is reached and nobody reaches it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from http_client import HERE, ask, get
from wire_client import Refused, client, fake_server, run

from fuzzing import DEEP

FOLDER = Path(__file__).parent
ADDRESS = "192.168.77.1"
FILES = ["test_beyond.py", "test_strangers.py", "test_names.py"]
LOCAL = "not descriptors and not made_once and not in_the_file and not freed"
"""What asks no server at that address, or does so for long; all is run with LMSTUDIO_TEST_DEEP=1."""
SECONDS = 110
IS_BEYOND = HERE != "127.0.0.1"
beyond = pytest.mark.skipif(not IS_BEYOND, reason="runs in the namespace")


def namespace() -> list[str]:
    """The command that runs another one in a network of its own; skips where there is none."""
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program!r} here to make a network namespace with")
    command = ["unshare", "--net"]
    if os.geteuid() != 0:
        command[1:1] = ["--user", "--map-root-user"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    return command


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
@pytest.mark.skipif(IS_BEYOND, reason="it runs already")
def test_the_same_beyond_this_machine() -> None:
    command = namespace()
    setting_up = f"ip link set lo up && ip address add {ADDRESS}/24 dev lo && exec "
    tests = '"$0" -m pytest -q -n 0 -p no:cacheprovider -p no:hypothesispytest "$@"'
    chosen = [*FILES, *([] if DEEP else ["-k", LOCAL])]
    kept = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [*command, "sh", "-c", setting_up + tests, sys.executable, *chosen],
        cwd=FOLDER,
        env={**kept, "LMSTUDIO_TEST_BIND": ADDRESS},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


@beyond
def test_who_is_beyond_is_trusted_with_nothing() -> None:
    async def test() -> None:
        async with fake_server() as server:
            assert server.host.startswith(ADDRESS)
            async with client(server, "system") as one:
                with pytest.raises(Refused, match="may not"):
                    await one.call("requestShutdown")
            async with client(server, "diagnostics") as one:
                with pytest.raises(Refused, match="may not"):
                    await one.collect("streamLogs")
            assert not server.services.shutdown.is_set()

    run(test)


@beyond
def test_names_and_tokens_beyond() -> None:
    async def test() -> None:
        token = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
        async with fake_server(api_tokens=(token,), insecure=False) as server:
            assert (await get(server, "/v1/models")).status == 401
            good = {"Authorization": f"Bearer {token}"}
            assert (await get(server, "/v1/models", **good)).status == 200
            assert (await get(server, "/v1/models", host="evil.example", **good)).status == 403
            page = {**good, "Origin": "https://evil.example"}
            answer = await ask(server, "POST", "/v1/completions", {"model": "pocket"}, page)
            assert answer.status == 403

    run(test)
