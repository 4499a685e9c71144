"""LengthDirection, an optimizer that updates the lengths and the directions of weights."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from . import checkpoints
from .adamw import AdamW
from .arguments import check_group_keys, check_keywords, error_text, resolve
from .assignment import assigned, named_parameters
from .entries import Assigned, Assignment
from .groups import Named, as_groups, find, named, split, with_names
from .metrics import Metric
from .options import Angle, Gains
from .overrides import Override
from .rules import Rule
from .stepping import Stepper
from .watching import InputWatcher


class LengthDirection(Optimizer):
    """Update hidden matrices by length and direction, and all other parameters by AdamW.

    A matrix W, with a row for each unit, is written as W = diag(g) U with lengths g and directions
    U, whose rows lie on the unit sphere of a metric. With the gradient G with respect to W and
    the matrix S of the metric::

        dL/dg_i = <G_i, U_i>,    dL/dU_i = g_i (G_i - S U_i <G_i, U_i>),
        U <- retract(U - lr Q),  g <- step of the length rule,

    where Q is the output of the direction rule for dL/dU. The model keeps its plain W; g and U are
    in the state of the optimizer.

    Parameters
    ----------
    params : Module or iterable
        A model, whose hidden matrices are found by `assignment`; or an iterable of parameters, of
        (name, parameter) pairs, or of param groups.
    lr : float, default=0.04
        Learning rate of the directions: with ``angle`` "each" or "rms" the tangent of the angle by
        which they turn, so that small values are radians per step.
    metric : {"covariance", "euclidean", "frobenius"} or object, default="covariance"
        The sphere of the directions. "covariance" is the metric of batch normalization, in which S
        is the covariance of the layer's inputs; "euclidean" is that of weight normalization, S = I;
        in "frobenius" the whole matrix is one direction. The objects are `Covariance`, `Euclidean`
        and `Frobenius`.
    direction : {"polar", "adam", "sgd"} or object, default="polar"
        The rule that computes Q: the polar factor of the momentum as in Muon, the step of Adam, or
        the momentum itself. The objects are `Polar`, `Adam` and `SGD`.
    length : {"adam", "sgd", "fixed"} or object, default="adam"
        The rule for the lengths. The objects are `Adam`, `SGD` and `Fixed`; "adam" and "sgd" have
        a learning rate of 0.01.
    others : AdamW, optional
        Options of AdamW for the parameters that are not hidden matrices. Default: ``AdamW()``, with
        a learning rate of 0.01.
    start_length : float, optional
        Value to which the lengths of rows are set at the first step. Use 1 for networks that are
        trained from scratch. Default: the lengths of the weights are kept.
    gains : {"row", "matrix", "both"} or Gains, optional
        Whether rows, the whole matrix, or both rows and columns have a length. Default: "matrix" in
        the Frobenius metric, else "row".
    angle : {"auto", "each", "rms", "off"} or Angle, default="auto"
        What the learning rate of directions measures, its limit and its schedule.
    retraction : {"normalize", "none"}, default="normalize"
        "normalize" scales directions to norm one after each step. "none" lets the norm of the
        vector v grow, W = g v/||v||, which makes angles smaller over time.
    assign : dict or callable, optional
        Overrides of the rule for single parameters; see `assignment`.
    chunks : dict, optional
        Numbers of matrices that are packed into one parameter; see `assignment`.
    model : Module, optional
        The model that the parameters belong to, if ``params`` is not the model itself. The
        covariance metric needs it.
    process_group : ProcessGroup or False, optional
        The ranks over which covariances are averaged; False for no averaging. Default: all ranks if
        torch.distributed is initialized.
    **unknown
        No other keyword is accepted. The error about a keyword of an earlier version says which
        option object has it now.

    Raises
    ------
    ValueError
        If an option does not exist, two options do not fit together, or a gradient is sparse.
    TypeError
        If an argument has the wrong type or is not known.

    See Also
    --------
    Diagnostics : Angles, lengths and conditions of each matrix.
    weight_normalization, hyperball, angular_muown, magnitude_direction : Published methods.

    Notes
    -----
    *Covariance metric.* S is the damped E[x x^T] of the layer's inputs [1]_, so that
    ``||U_i||_S = 1`` means that the pre-activation of unit i has mean square one. All steps are
    taken in coordinates that whiten the inputs: with S = L L^T the metric of V = U L is Euclidean.
    Layers whose inputs cannot be observed (packed projections of attention, recurrent layers), or
    have not been observed yet, are updated in the Euclidean metric. Build the optimizer before a
    compiled model is first called.

    *Start of the lengths.* With ``start_length=1`` and the covariance metric, every unit starts
    with a pre-activation of mean square one, as under batch normalization. The lengths are set
    at the first step with a gradient after the inputs of the layer have been seen. Salimans and
    Kingma [2]_ start this way from the first batch.

    *No retraction.* The norm of v grows with each step, and faster for larger ``lr``, so that a
    wide range of learning rates works [3]_. In whitened coordinates v starts with norm one.

    *Rows of zeros.* A row that is zero at the start takes the direction of steepest descent at its
    first gradient. A row that is set to zero later keeps its direction.

    *Param groups.* A group may set every option from ``lr`` to ``retraction``, by name or by
    object, and ``assign`` and ``chunks`` for its own parameters. Parameters that AdamW updates are
    in separate groups, whose "lr" is that of ``others``. Schedulers change "lr" as for every
    optimizer; the learning rate of the lengths changes in proportion. Momentum is not an entry of
    the groups, so that OneCycleLR needs ``cycle_momentum=False``.

    *Changed weights.* The optimizer notices if weights are changed between steps, unless they are
    changed through ``.data``.

    References
    ----------
    .. [1] J. Kohler et al., Exponential convergence rates for batch normalization, AISTATS 2019.
    .. [2] T. Salimans and D. P. Kingma, Weight normalization, NeurIPS 2016.
    .. [3] S. Arora, Z. Li and K. Lyu, Auto rate-tuning by batch normalization, ICLR 2019.

    Examples
    --------
    >>> from torch import nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1))
    >>> optimizer = LengthDirection(model, lr=0.02)
    >>> x = torch.linspace(-1, 1, 40).reshape(10, 4)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     loss = (model(x) - x[:, :1].square()).square().mean()
    ...     loss.backward()
    ...     _ = optimizer.step()
    >>> loss.item() < 0.01
    True

    Objects set the options of a metric or a rule:

    >>> from polarstep.optim import Adam, Covariance
    >>> optimizer = LengthDirection(model, metric=Covariance(damping=1.0), length=Adam(lr=0.02))
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.04,
        *,
        metric: str | Metric = "covariance",
        direction: str | Rule = "polar",
        length: str | Rule = "adam",
        others: AdamW | None = None,
        start_length: float | None = None,
        gains: str | Gains | None = None,
        angle: str | Angle = "auto",
        retraction: str = "normalize",
        assign: Override = None,
        chunks: Mapping[str, int] | None = None,
        model: nn.Module | None = None,
        process_group: Any = None,
        **unknown: Any,
    ) -> None:
        check_keywords(unknown)
        defaults = {
            "lr": lr,
            "metric": metric,
            "direction": direction,
            "length": length,
            "others": AdamW() if others is None else others,
            "start_length": start_length,
            "gains": gains,
            "angle": angle,
            "retraction": retraction,
        }
        # The default of gains depends on the metric of each group.
        defaults = {**resolve(defaults), "gains": gains}
        if isinstance(params, nn.Module):
            model, params = params, named_parameters(params)
        self._model = None if model is None else weakref.ref(model)
        self._entries: dict[Tensor, Assigned] = {}
        self._watcher = InputWatcher(process_group)
        self._stepper = Stepper(self._entries, self._watcher)
        groups = as_groups(params)
        pairs = [pair for group in groups for pair in named(group["params"])]
        if not pairs:
            raise ValueError(error_text("params", "hold parameters", "none"))
        self._assign(pairs, assign, chunks)
        super().__init__(groups, defaults)

    @property
    def assignment(self) -> Assignment:
        """The rule of each parameter, as a list that prints as a table."""
        return Assignment(self._entries.values())

    def _assign(
        self, pairs: list[Named], assign: Override = None, chunks: Mapping[str, int] | None = None
    ) -> None:
        model = None if self._model is None else self._model()
        unique = with_names(pairs, model, first=len(self._entries))
        for entry in assigned(unique, model, assign, chunks):
            if entry.rule == "direction":
                entry.check_finite()
            self._entries[entry.parameter] = entry

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; those that AdamW updates become a separate group.

        Parameters
        ----------
        param_group : dict
            The parameters, "params", and options that differ from those of the optimizer. "assign"
            and "chunks" apply to the parameters of the group.
        """
        check_group_keys(param_group)
        options = dict(param_group)
        pairs = named(options.pop("params"))
        overrides = options.pop("assign", None), options.pop("chunks", None)
        new = [(name, p) for name, p in pairs if p not in self._entries]
        if new:
            self._assign(new, *overrides)
        options = resolve({**self.defaults, **options})
        for group in split(options, [p for _, p in pairs], self._entries):
            super().add_param_group(group)
            if group["rule"] == "direction" and group["metric"].uses_inputs:
                self._watch(len(self.param_groups) - 1)

    def _watch(self, index: int) -> None:
        if self._model is None:
            advice = "Pass the model, as params or as model=..., or another metric."
            got = "'covariance' without the model whose layers' inputs define it"
            raise ValueError(error_text("metric", "fit the parameters", got, advice))
        group = self.param_groups[index]
        self._watcher.watch(index, group, [self._entries[p] for p in group["params"]])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have gradients.

        Parameters
        ----------
        closure : callable, optional
            Function that computes the loss and its gradients again.

        Returns
        -------
        Any
            The loss that the closure returns, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for p, entry in self._entries.items():
            if p.grad is not None and p.grad.layout != torch.strided:
                got = f"a sparse one for {entry.name!r}"
                raise ValueError(error_text("gradients", "be dense", got))
        for index, group in enumerate(self.param_groups):
            if group["rule"] == "adamw":
                group["others"].step(group["params"], group["lr"], self.state)
                continue
            self._watcher.before_step(index, group, self.state)
            self._stepper.step(group, self.state)
            group["steps"] += 1
            self._watcher.after_step(index, group, self.state)
        return loss

    def lengths(self, name: str) -> Tensor:
        """Return the lengths g of a parameter's rows.

        Parameters
        ----------
        name : str
            Name of the parameter, as in `assignment`.

        Returns
        -------
        Tensor of shape (matrices, rows, 1) or (matrices, 1, 1)
            A copy of the lengths.
        """
        p, group = find(name, self.param_groups, self._entries)
        return self._stepper.lengths(p, group, self.state[p])

    @torch.no_grad()
    def set_lengths(self, name: str, lengths: Tensor | float) -> None:
        """Set the lengths g of a parameter's rows; W changes at once, and directions do not change.

        Parameters
        ----------
        name : str
            Name of the parameter, as in `assignment`.
        lengths : Tensor or float
            The lengths, in a shape that broadcasts to that of `lengths`.
        """
        p, group = find(name, self.param_groups, self._entries)
        self._stepper.set_lengths(p, group, self.state[p], lengths)

    def __getstate__(self) -> dict[str, Any]:
        advice = "Build an optimizer for the copy of the model, and load the state_dict."
        got = "a request to copy or pickle it"
        raise TypeError(error_text("self", "stay with its model", got, advice))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer, in tensors, numbers and strings.

        Returns
        -------
        dict
            "state" and "param_groups", as for every optimizer. Options are names and single
            values, so that ``torch.load(weights_only=True)`` reads them.

        Notes
        -----
        Lengths, directions and their moments have shape (all rows, ...) for any number of
        processes; if a parameter is a DTensor whose rows are spread over ranks, so are they. Each
        rank gathers its own inputs for the covariances. Between a call of the model and the step,
        every rank must therefore save a checkpoint.
        """
        self._watcher.save(self.state)
        return checkpoints.packed(super().state_dict(), self.param_groups, self._stepper.view)

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state, from which training continues bit for bit.

        Parameters
        ----------
        state_dict : dict
            The result of `state_dict`. Load the weights of the model as well. As for every
            optimizer, the saved groups replace the options, but schedules of angles are kept.
        """
        schedules = [group["angle"].schedule for group in self.param_groups]
        state_dict = checkpoints.unpacked_options(state_dict)
        super().load_state_dict(state_dict)
        checkpoints.restore_schedules(self.param_groups, schedules)
        checkpoints.restore_states(state_dict, self.param_groups, self.state, self._stepper.view)
        self._watcher.load(self.param_groups, self.state)
        self._stepper.forget()
