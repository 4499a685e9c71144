"""AdamW for the parameters that are not updated by length and direction."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from ..validation import number
from .options import Option, check_betas


@dataclass(frozen=True)
class AdamW(Option):
    """Options of AdamW for embeddings, the head, gains and biases.

    Parameters
    ----------
    lr : float, default=0.01
        Learning rate: the initial "lr" of the param groups that AdamW updates.
    betas : tuple of float, default=(0.9, 0.95)
        Decays of the running averages of the gradient and of its square.
    eps : float, default=1e-8
        Term added to the square root of the second average.
    weight_decay : float, default=0.0
        Decoupled weight decay.

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    lr: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0

    name: ClassVar[str] = "adamw"

    def __post_init__(self) -> None:
        check_betas(self.betas, "AdamW")
        for argument in ("lr", "eps", "weight_decay"):
            number(getattr(self, argument), "AdamW", argument, at_least=0)

    def step(
        self, params: Sequence[Tensor], lr: float, state: MutableMapping[Tensor, dict[str, Any]]
    ) -> None:
        """Update the parameters that have gradients.

        Parameters
        ----------
        params : sequence of Tensor
            The parameters of a param group.
        lr : float
            The learning rate of the group.
        state : mapping
            The state of each parameter, which is updated in place.
        """
        params = [p for p in params if p.grad is not None]
        if not params:
            return
        for p in params:
            if not state[p]:
                state[p] |= {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        states = [state[p] for p in params]
        adamw(
            params,
            [p.grad for p in params],  # type: ignore[misc]
            [each["exp_avg"] for each in states],
            [each["exp_avg_sq"] for each in states],
            [],
            [each["step"] for each in states],
            has_complex=any(p.is_complex() for p in params),
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )
