"""Rows of people's own pipelines: pandas, Dask, Ray Data."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
from batch_hosts import host_process

from lmstudio_batch.engines.remote import forget
from lmstudio_batch.errors import BatchInputError
from lmstudio_batch.jobs.spec import BatchSpec
from lmstudio_batch.mappers import COLUMNS, RowMapper, partition_mapper, partition_meta
from lmstudio_testing import FakeServer

SPEC = BatchSpec(prompt="Say {text}")


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    forget()


@pytest.fixture
def host(server):
    server.llm().answer(lambda prediction: prediction.prompt.upper())
    return server.api_host


def test_a_dict_of_columns(host):
    mapper = pickle.loads(pickle.dumps(RowMapper(SPEC, [host])))
    found = mapper({"text": ["one", "two"], "n": [1, 2]})
    assert found["output"] == ["SAY ONE", "SAY TWO"]
    assert found["n"] == [1, 2]
    assert found["error"] == [None, None]
    assert found["host"] == [host, host]
    assert mapper({"n": [1]})["error"] == ["The row has no field 'text'; it has 'n'."]


def test_a_data_frame_keeps_its_index(host):
    pandas = pytest.importorskip("pandas", reason="lmstudio-batch[dask]")
    frame = pandas.DataFrame({"text": ["one", "two"]}, index=[7, 3])
    found = partition_mapper(SPEC, [host])(frame)
    assert list(found.index) == [7, 3]
    assert list(found["output"]) == ["SAY ONE", "SAY TWO"]
    assert list(partition_meta(frame, SPEC).columns) == ["text", *COLUMNS]
    assert dict(found.dtypes) == dict(partition_meta(frame, SPEC).dtypes)


def test_vectors_are_one_object_each():
    pandas = pytest.importorskip("pandas", reason="lmstudio-batch[dask]")
    with FakeServer() as server:
        model = server.embedding()
        found = RowMapper(BatchSpec(task="embed"), [server.api_host])(
            pandas.DataFrame({"text": ["one", "two"]})
        )
        expected = [pytest.approx(model.embed(text), rel=1e-6) for text in ("one", "two")]
        assert list(found["output"]) == expected
        forget()


def test_a_dask_data_frame(host):
    pandas = pytest.importorskip("pandas", reason="lmstudio-batch[dask]")
    frames = pytest.importorskip("dask.dataframe", reason="lmstudio-batch[dask]")
    frame = pandas.DataFrame({"text": [f"row {n}" for n in range(40)]})
    lazy = frames.from_pandas(frame, npartitions=4)
    answered = lazy.map_partitions(partition_mapper(SPEC, [host]), meta=partition_meta(lazy, SPEC))
    found = answered.compute(scheduler="threads")
    assert list(found["output"]) == [f"SAY ROW {n}" for n in range(40)]


def test_hosts_have_to_be_named():
    with pytest.raises(BatchInputError, match="at least one host"):
        RowMapper(SPEC, [])


@pytest.mark.skipif(
    not os.environ.get("LMSTUDIO_TEST_DEEP"), reason="LMSTUDIO_TEST_DEEP is not set"
)
@pytest.mark.timeout(180)
def test_a_ray_data_set():
    pytest.importorskip("ray.data", reason="lmstudio-batch[ray]")
    code = (
        "import sys, ray, lmstudio as lms\n"
        "ray.init(num_cpus=1, include_dashboard=False, _node_ip_address='127.0.0.1',\n"
        "         object_store_memory=200 * 2**20, log_to_driver=False)\n"
        "rows = ray.data.from_items([{'text': f'row {n}'} for n in range(40)])\n"
        "mapper = lms.RowMapper(lms.BatchSpec(prompt='Say {text}'), [sys.argv[1]])\n"
        "found = rows.map_batches(mapper, batch_size=16, **lms.RowMapper.ray_options())\n"
        "print(sorted(row['output'] for row in found.take_all())[-1])\n"
    )
    with host_process() as one:
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code, one.api_host],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.strip().endswith("SAY ROW 9"), done.stderr
