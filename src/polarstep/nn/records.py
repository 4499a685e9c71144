"""The records that `train` yields: one `Step` for every iterate, each with a `TrainingStatus`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class TrainingStatus(Enum):
    """State of a training run after a step; the value explains it and gives advice.

    Attributes
    ----------
    running
        The run is in progress, and another record follows.
    finished
        All steps have been taken.
    diverged
        The loss or its gradient is no longer finite, and the run has stopped.

    Examples
    --------
    >>> from polarstep.nn import TrainingStatus
    >>> print(TrainingStatus.finished.value)
    All steps have been taken. To continue, ask for more steps with the same checkpoint.
    """

    running = "The training is in progress: another record follows."
    finished = (
        "All steps have been taken. To continue, ask for more steps with the same checkpoint."
    )
    diverged = (
        "The loss or its gradient is no longer finite: lower lr. "
        "The model has been reset to the last finite iterate."
    )


@dataclass(frozen=True)
class Step:
    """One iterate of a training run, evaluated before the next update.

    Attributes
    ----------
    index : int
        Number of updates so far: record t describes the weights after t updates.
    loss : float
        The value ``loss_fn(model(inputs), targets)`` on all samples, or on the mini-batch of this
        step.
    gradient_norm : float
        Euclidean norm of the gradient of the loss over all trained parameters.
    direction_gradient_norm : float
        Norm of the gradient with respect to the directions of the weight rows; see
        `gradient_split`.
    length_gradient_norm : float
        Norm of the gradient with respect to the lengths of the weight rows; see `gradient_split`.
    accuracy : float or None
        Fraction of the samples that are classified correctly, where the class with the largest
        output is the prediction. None unless the targets are class labels, that is, a vector of
        integers beside outputs of shape (n_samples, n_classes).
    lr : float
        Learning rate of the next update; zero if there is none.
    status : TrainingStatus
        Whether the run is in progress, has finished or has diverged.
    evaluation : object
        The return value of ``evaluate``; None without one.
    fresh : bool
        True if the model is at this iterate when the record is yielded, False if the record was
        read from a checkpoint.
    """

    index: int
    loss: float
    gradient_norm: float
    direction_gradient_norm: float
    length_gradient_norm: float
    accuracy: float | None
    lr: float
    status: TrainingStatus
    evaluation: Any = None
    fresh: bool = field(default=True, compare=False)
