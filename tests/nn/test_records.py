"""The records of a training."""

import dataclasses

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'")

from polarstep.nn import Step, TrainingStatus

RECORD = Step(3, 0.5, 1.0, 0.8, 0.6, None, 0.1, TrainingStatus.running)


def test_records_are_equal_whether_they_were_read_from_a_checkpoint_or_not():
    assert dataclasses.replace(RECORD, fresh=False) == RECORD
    assert dataclasses.replace(RECORD, loss=0.4) != RECORD
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.loss = 0.4


def test_every_status_says_what_to_do_in_whole_sentences():
    assert {status.name for status in TrainingStatus} == {"running", "finished", "diverged"}
    for status in TrainingStatus:
        assert status.value[0].isupper()
        assert status.value.endswith(".")
