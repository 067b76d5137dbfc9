"""Clients stay in their process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from lmstudio_core.models.handles import SyncModelHandle


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy, copy.copy])
def test_a_client_says_that_it_cannot_be_carried_elsewhere(
    face: Any, carry: Callable[[Any], Any]
) -> None:
    with pytest.raises(TypeError, match="Make a client in the other process"):
        carry(face.client)


def test_so_does_a_model(face: Any) -> None:
    with pytest.raises(TypeError, match="Make a client in the other process"):
        pickle.dumps(SyncModelHandle("some-model", face.client))
