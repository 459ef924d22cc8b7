"""Search processes are forked from one that has imported Optuna."""

from __future__ import annotations

import asyncio

import pytest

from tests import zygote


@pytest.fixture(autouse=True)
def forked(monkeypatch):
    monkeypatch.setattr(asyncio, "create_subprocess_exec", zygote.create_subprocess_exec)
