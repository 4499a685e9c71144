"""Checkpoint files of a training run, each of which is written completely or not at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from ..validation import complaint

_FORMAT = "polarstep.nn.train/1"


def check_path(path: Any) -> Path:
    """Return the path of a checkpoint as a Path, or raise an error if it cannot be written."""
    try:
        path = Path(path)
    except TypeError:
        must = "be a path or None"
        raise TypeError(complaint("train", "checkpoint", must, repr(path))) from None
    if path.is_dir() or not path.parent.is_dir():
        must, got = "be a file in a folder that exists", repr(str(path))
        raise ValueError(complaint("train", "checkpoint", must, got))
    return path


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace the checkpoint at `path` with a new one.

    The old file stays in place until the new one has been written completely.
    """
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            torch.save({"format": _FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Read the checkpoint of a run with the given settings; return None if there is no file.

    Raises
    ------
    ValueError
        If the file is damaged, is not a checkpoint, or belongs to a run with another network or
        other settings.
    """
    try:
        data = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        return None
    try:
        content = torch.load(data, map_location="cpu", weights_only=True)
    except Exception:  # torch does not document its errors for damaged files
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        got = f"{str(path)!r}, which is damaged or not a checkpoint"
        raise ValueError(_message("be a complete checkpoint of `train`", got))
    for name, value in settings.items():
        if content["settings"][name] != value:
            difference = _difference(name, content["settings"][name], value)
            raise ValueError(message_for_other_run(path, difference))
    return content


def message_for_other_run(path: Path, difference: str) -> str:
    """Return the message of an error about a checkpoint that belongs to another run."""
    return _message("belong to this training run", f"{str(path)!r}, where {difference}")


def _message(must: str, got: str) -> str:
    advice = "Delete the file to start from the beginning, or choose another file."
    return complaint("train", "checkpoint", must, got, advice)


def _difference(name: str, saved: Any, given: Any) -> str:
    if name != "network":
        return f"`{name}` is {saved!r} instead of {given!r}"
    tensor = next(key for key in [*given, *saved] if given.get(key) != saved.get(key))
    return f"{tensor} is {saved.get(tensor, 'missing')} instead of {given.get(tensor, 'missing')}"
