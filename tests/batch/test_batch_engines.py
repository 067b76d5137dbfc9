"""Engines on this machine, each for real: the same bytes, lost processes, killed drivers."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from batch_hosts import host_process

from lmstudio_batch.driver import partial_path
from lmstudio_batch.engines import load_engine
from lmstudio_batch.engines.base import EngineMissingError
from lmstudio_batch.jobs.journal import read_state
from lmstudio_batch.jobs.spec import BatchSpec
from lmstudio_core.client import Client
from waiting import eventually

DEEP = bool(os.environ.get("LMSTUDIO_TEST_DEEP"))
SPEC = BatchSpec(prompt="Say {text}")
pytestmark = pytest.mark.timeout(180)


def rows(number):
    return [{"text": f"row {n}"} for n in range(number)]


def missing(module):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is not installed"
    )


@pytest.fixture(scope="module")
def cluster():
    """One Dask cluster for all tests."""
    distributed = pytest.importorskip("distributed", reason="lmstudio-batch[dask]")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=True,
        dashboard_address="127.0.0.1:0",  # None would take port 8787 on all addresses
        host="127.0.0.1",
    ) as cluster:
        yield cluster


def whole(host, tmp_path, number):
    """What an uninterrupted run of the engine ``local`` gives."""
    out = tmp_path / "whole.jsonl"
    with Client(host) as client:
        client.batch.run(rows(number), out, SPEC)
    return out.read_bytes()


def test_dask_gives_what_local_gives(cluster, tmp_path):
    with host_process() as one, host_process() as two:
        hosts = [one.api_host, two.api_host]
        expected = whole(one.api_host, tmp_path, 200)
        out = tmp_path / "dask.jsonl"
        with Client(one.api_host) as client:
            report = client.batch.run(
                rows(200), out, SPEC, hosts=hosts, engine="dask", address=cluster.scheduler_address
            )
            assert report.rows == 200
            assert out.read_bytes() == expected
            found = client.batch.stream(
                rows(3), SPEC, engine="dask", address=cluster.scheduler_address
            )
            assert sorted(row.result.content for row in found) == [f"SAY ROW {n}" for n in range(3)]


def test_a_dask_worker_that_is_killed_costs_its_chunks(cluster, tmp_path):
    log = tmp_path / "asked"
    with host_process(f"log={log}", "delay=0.02") as host, Client(host.api_host) as client:
        out, reports = tmp_path / "out.jsonl", []

        def run():
            address = cluster.scheduler_address
            reports.append(client.batch.run(rows(600), out, SPEC, engine="dask", address=address))

        thread = threading.Thread(target=run)
        thread.start()
        eventually(lambda: log.exists() and log.read_text().count("\n") > 60)
        import distributed

        with distributed.Client(cluster, set_as_default=False) as dask:
            pids = list(dask.run(os.getpid).values())
        os.kill(pids[0], signal.SIGKILL)
        thread.join(120)
        assert reports[0].rows == 600
        found = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["output"] for row in found] == [f"SAY ROW {n}" for n in range(600)]
        asked = log.read_text().count("\n")
        assert 600 <= asked <= 600 + 3 * 2 * 32


COMMAND = "from lmstudio_cli.command import run; run()"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["local", *(["dask", "ray"] if DEEP else [])])
def test_a_driver_that_is_killed_goes_on(tmp_path, engine):
    if engine != "local":
        pytest.importorskip("distributed" if engine == "dask" else "ray")
    log, source, out = tmp_path / "asked", tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    number = 3000 if DEEP else 1000
    source.write_text("".join(json.dumps(row) + "\n" for row in rows(number)), "utf-8")
    with host_process(f"log={log}", "delay=0.002") as host:
        command = [sys.executable, "-c", COMMAND, "batch", str(source), "--out", str(out)]
        command += ["--host", host.api_host, "--prompt", "Say {text}", "--engine", engine]
        first = subprocess.Popen([*command, "--workers", "2"], start_new_session=True)
        eventually(lambda: (read_state(partial_path(out)) or {"rows": 0})["rows"] > 200, 90)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        asked_before = log.read_text().count("\n")
        kept = read_state(partial_path(out))
        assert kept is not None
        assert not kept["running"]
        done = subprocess.run(
            [*command, "--workers", "2"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert f"Going on after {kept['rows']:,} rows" in done.stderr
        again = log.read_text().count("\n") - number
        # Nothing but what was not in the journal; the host may have read on for a moment.
        in_flight = 16 if engine == "local" else 2 * 3 * 32  # which processes elsewhere go on with
        assert 0 <= again <= asked_before - kept["rows"] + in_flight
        expected = whole(host.api_host, tmp_path, number)
    assert out.read_bytes() == expected


@pytest.mark.skipif(not DEEP, reason="LMSTUDIO_TEST_DEEP is not set")
@missing("ray")
def test_ray_gives_what_local_gives(tmp_path):
    """In a process of its own: Ray leaves threads and sockets behind in the one that uses it."""
    with host_process() as one:
        expected = whole(one.api_host, tmp_path, 100)
        code = (
            "import sys, lmstudio_core as lms\n"
            "from pathlib import Path\n"
            "from lmstudio_batch import BatchSpec\n"
            "rows = [{'text': f'row {n}'} for n in range(100)]\n"
            "with lms.Client(sys.argv[1]) as client:\n"
            "    spec = BatchSpec(prompt='Say {text}')\n"
            "    client.batch.run(rows, sys.argv[2], spec, engine='ray', workers=2)\n"
        )
        out = tmp_path / "ray.jsonl"
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        subprocess.run(
            [sys.executable, "-c", code, one.api_host, str(out)], check=True, env=environment
        )
    assert out.read_bytes() == expected


@pytest.mark.parametrize(("engine", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch, engine, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineMissingError, match="pip install"):
        load_engine(engine)


def test_nothing_heavy_is_imported():
    code = (
        "import sys, lmstudio, lmstudio_batch, lmstudio_batch.namespaces\n"
        "lmstudio.Pool, lmstudio.BatchSpec\n"
        "heavy = 'ray', 'dask', 'distributed', 'pandas', 'pyarrow', 'numpy'\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_rows_that_kill_their_host_take_no_other_row_along(tmp_path):
    killed = "dies-on=row 7 "
    with host_process(killed) as one, host_process(killed) as two, host_process() as three:
        with Client(one.api_host) as client:
            given = [{"text": f"row {n} "} for n in range(40)]
            hosts = [host.api_host for host in (one, two, three)]
            out = tmp_path / "out.jsonl"
            report = client.batch.run(given, out, SPEC, hosts=hosts, hedge=False)
        found = [json.loads(line) for line in out.read_text().splitlines()]
        assert [r["output"] for r in found if r["id"] != 7] == [
            f"SAY ROW {n} " for n in range(40) if n != 7
        ]
        assert sum(host.state == "down" for host in report.hosts) <= 2


def test_a_host_that_is_stopped_is_silent_and_is_replaced(tmp_path):
    slow = "delay=0.01"
    with host_process(slow) as one, host_process(slow) as two, Client(one.api_host) as client:
        hosts = [one.api_host, two.api_host]
        stream = client.batch.stream(rows(300), SPEC, hosts=hosts, idle_timeout=2.0)
        found = [next(stream)]
        os.kill(two.process.pid, signal.SIGSTOP)
        try:
            found += list(stream)
        finally:
            os.kill(two.process.pid, signal.SIGCONT)
    assert sorted(row.position for row in found) == list(range(300))
    assert all(row.error is None for row in found)
