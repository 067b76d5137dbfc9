"""Twenty plugins cost ``import lmstudio`` nothing, since nothing looks for them.

How much that is in milliseconds is measured by benchmarks/plugins.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
opened = []
sys.addaudithook(
    lambda event, args: opened.append(str(args[0])) if event in ("open", "os.listdir") else None
)
import lmstudio
at_import = [n for n in sys.modules if n.startswith(("dummy", "importlib_metadata", "pluggy"))]
read = [path for path in opened if path.endswith("entry_points.txt")]
client = lmstudio.Client("127.0.0.1:9")
hooks = sorted(n for n in sys.modules if n.startswith("dummy"))
print(json.dumps({"modules": at_import, "read": read, "hooks": len(hooks)}))
"""


@pytest.fixture
def twenty(tmp_path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("make_plugins", ROOT / "benchmarks/plugins.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path, 20)
    return tmp_path


def test_twenty_plugins_are_not_looked_for_by_an_import(twenty):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(twenty)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["modules"] == []
    assert found["read"] == []
    # And they are there: the first client loads what has hooks.
    assert found["hooks"] == 20
