"""Checkpoints of a training on disk: whole or not there at all."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from ..validation import complaint

_FORMAT = "polarstep.nn.train/1"


def check_path(path: Any) -> Path:
    """The path of a checkpoint that can be written."""
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
    """Put a checkpoint in the place of the one before, which stays until the new one is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            torch.save({"format": _FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint of a training with these settings; None if there is no such file.

    Raises
    ------
    ValueError
        It is not whole, no checkpoint, or one of another network or of other settings.
    """
    try:
        data = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        return None
    try:
        content = torch.load(data, map_location="cpu", weights_only=True)
    except Exception:  # what torch raises for damaged files is not documented
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        got = f"{str(path)!r}, which is damaged or something else"
        raise ValueError(_refusal("be a whole checkpoint of `train`", got))
    for name, value in settings.items():
        if content["settings"][name] != value:
            then = _difference(name, content["settings"][name], value)
            raise ValueError(refusal_of_another(path, then))
    return content


def refusal_of_another(path: Path, then: str) -> str:
    """The text of an error about a checkpoint that belongs to another training."""
    return _refusal("belong to this training", f"{str(path)!r}, where {then}")


def _refusal(must: str, got: str) -> str:
    advice = "Delete the file to begin anew, or choose another one."
    return complaint("train", "checkpoint", must, got, advice)


def _difference(name: str, then: Any, now: Any) -> str:
    if name != "network":
        return f"`{name}` is {then!r} instead of {now!r}"
    tensor = next(key for key in [*now, *then] if now.get(key) != then.get(key))
    return f"{tensor} is {then.get(tensor, 'missing')} instead of {now.get(tensor, 'missing')}"
