"""Two processes in one run's folder: the later one has it, the earlier one writes nothing more."""

import os
import threading
from pathlib import Path

import pytest
import torch

from rlcourse.checkpoint import RunFolder, TakenOver, revoke
from rlcourse.stats import History, Row

PLAN = {"steps": 1, "versions": {}, "command": ""}


def loaded(path: Path, resume: bool) -> RunFolder:
    folder = RunFolder(path, PLAN, resume)
    folder.load(replay=False)
    return folder


def rows(path: Path) -> list[Row]:
    return History.from_csv(path / "rows.csv").rows


def test_the_later_one_stops_the_earlier(tmp_path):
    old = loaded(tmp_path, False)
    old.append([Row(0, 1, "loss", 1.0)])
    old.save({"step": 1})
    old.append([Row(0, 2, "loss", 2.0)])
    new = loaded(tmp_path, True)
    new.append([Row(0, 2, "loss", 2.5)])
    for write in (lambda: old.append([Row(0, 3, "loss", 3.0)]), lambda: old.save({"step": 3})):
        with pytest.raises(TakenOver, match=rf"{tmp_path}.*owner is now process {os.getpid()} on .*writes nothing more"):
            write()
    old.close()
    new.append([Row(0, 3, "loss", 3.5)])
    new.save({"step": 2})
    assert [row.value for row in rows(tmp_path)] == [1.0, 2.5, 3.5]
    assert torch.load(tmp_path / "checkpoint.pt")["step"] == 2 and (tmp_path / "owner").exists()
    new.close()
    assert not (tmp_path / "owner").exists()


def test_a_write_that_is_under_way_is_waited_for(tmp_path):
    old = loaded(tmp_path, False)
    with old._mine():
        other = threading.Thread(target=lambda: loaded(tmp_path, True).close())
        other.start()
        other.join(0.2)
        assert other.is_alive() and (tmp_path / "owner").read_text() == old.name
    other.join()
    with pytest.raises(TakenOver, match="owner is now nobody"):
        old.append([])
    old.close()


def test_revoked_from_outside(tmp_path):
    folder = loaded(tmp_path / "run", False)
    revoke(tmp_path / "run"), revoke(tmp_path / "none")
    with pytest.raises(TakenOver):
        folder.append([Row(0, 1, "loss", 1.0)])
    folder.close()
    assert rows(tmp_path / "run") == [] and not (tmp_path / "none").exists()
