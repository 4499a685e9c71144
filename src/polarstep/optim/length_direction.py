"""LengthDirection: an optimizer that steps in the lengths and the directions of weights."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.optimizer import Optimizer

from . import coordinates, covariance
from .assignment import WHO, Assigned, Assignment, Override, bare, check_real, named_parameters
from .options import check, gains, no_such_parameter, refuse
from .sharding import Matrices, local
from .turning import angles, turn

_BY_ROWS = {"direction", "momentum", "square", "length", "length_momentum", "length_square"}
LARGEST_STACK = 2**22  # numbers in a stack of matrices of one shape that are stepped together


class LengthDirection(Optimizer):
    """Steps in length and direction for hidden matrices, AdamW for the rest.

    A matrix W (a row for each unit) is W = diag(g) U: lengths g, and directions U with rows on the
    unit sphere of a metric. The model keeps its plain W; g and U live in the optimizer. With G the
    gradient by W and S the matrix of the metric,

        dL/dg_i = <G_i, U_i>,    dL/dU_i = g_i (G_i - S U_i <G_i, U_i>),
        U <- retract(U - lr Q),  g <- the length rule's step,

    where Q is what the direction rule makes of dL/dU. In the metric "covariance" S is the damped
    E[x x^T] of the layer's inputs, so that ||U_i||_S = 1 says that unit i's pre-activation has mean
    square one, as batch normalization has it; all is done in coordinates that whiten the inputs,
    S = L L^T, V = U L, in which that metric is the Euclidean one.

    Parameters
    ----------
    params : Module, or iterable of parameters, of (name, parameter), or of parameter groups
        A model: its matrices are found, see `assignment`. A group may set every option below.
    lr : float
        The directions' step: with ``angle`` "each" or "rms" the tangent of an angle, so that small
        values are radians per step. Schedulers may change it; the lengths' step goes with it.
    metric : "covariance", "euclidean" or "frobenius"
        "covariance": batch normalization's. "euclidean": weight normalization's, S = I.
        "frobenius": U is on the sphere of the whole matrix, ||U||_F = ||W_0||_F, and the gains g
        start at one.
    direction : "polar", "adam" or "sgd"
        Q from dL/dU: "sgd" takes its momentum, "polar" the polar factor of that, as Muon does,
        "adam" the step of Adam. With ``metric="covariance"`` in whitened coordinates.
    length : "adam", "sgd" or "fixed"
        The rule for the gains.
    length_lr : float, optional
        The gains' step, at the ``lr`` that is given here: where lr changes, it changes in
        proportion. None: lr.
    start_length : float, optional
        What the rows' lengths are set to at the first step, or when the layer's inputs have been
        seen: for networks that are trained from scratch. With 1 and the covariance metric every
        unit starts with a pre-activation of mean square one, as under batch normalization. Default:
        they stay as they are. (Salimans and Kingma 2016 start so from the first
        batch, and so do Mishkin and Matas, ICLR 2016.)
    gains : "row", "matrix" or "both", optional
        A gain for each row, for the whole matrix ("frobenius" only), or for rows and columns,
        W = diag(g) U diag(h) (not with "covariance"). Default: "row", "matrix" for "frobenius".
    angle : "auto", "each", "rms" or "off"
        What lr measures. "each": every row (the matrix, for "frobenius") turns by arctan(lr).
        "rms": rows do so in the root mean square; for polar factors by their known norm, the factor
        sqrt(max(1, rows/columns)) of Muon. "off": lr times Q itself. "auto": "rms" for polar
        factors, else "each".
    angle_schedule : callable, optional
        A factor for the directions' step alone, from the number of steps taken so far.
    momentum, nesterov : float, bool
        Of "sgd" and "polar", in torch.optim.SGD's form.
    betas, eps : (float, float), float
        Of Adam, for directions and gains.
    tangent : bool
        Whether the part of the gradient along U, which changes no direction, is taken off.
    retraction : "normalize" or "none"
        "none" lets the norm of the direction's vector v grow, W = g v/||v||, as published for
        weight normalization and as in `polarstep.minimize`. In whitened coordinates v starts with
        norm one; as it grows angles get smaller by themselves, the more so the larger lr is, so
        that a wide range of lr does (Arora, Li and Lyu, ICLR 2019).
    largest_angle : float, optional
        A direction's step is at most this long, relative to its norm: angles of at most its
        arcsine.
    polar, polar_steps, polar_dtype
        Iteration, its number of steps, and what it computes in: `rules.polar_factor`.
    length_momentum, length_decay : float
        Momentum of the length rule "sgd"; decoupled decay of the gains, g <- g - lr decay g.
    positive : bool
        Gains are softplus of what the length rule steps in.
    precondition : bool
        With "covariance": whether steps are in whitened coordinates, that is, preconditioned by
        S^-1. False is batch normalization's own gradient step.
    damping : float
        S + damping tr(S)/n I in the place of S: the more of it, the less are inputs whitened.
        Networks without any normalization take more of it (1) well.
    covariance_decay, refresh_every, covariance_rows : float, int, int
        The running average of S takes in the inputs of every ``refresh_every``-th step, with weight
        1 - covariance_decay; of each call at most ``covariance_rows`` inputs, spread out evenly; 0
        takes all. Only calls in training mode and with gradients on count.
    covariance_inputs : int
        Layers with more inputs than that are stepped in the Euclidean metric, because their S would
        cost more than they do; 0: no layer is.
    rest_lr, rest_betas, rest_eps, rest_weight_decay
        AdamW for the other parameters. They are in groups of their own, whose "lr" is rest_lr.
    assign, chunks
        What goes where, and packed matrices: see `assignment`. ``optimizer.assignment`` shows it.
    model : Module, optional
        Where ``params`` is not the model: the model that they belong to, whose layers' inputs give
        the covariances.
    process_group : optional
        Covariances are averaged over these ranks. Default: all, where torch.distributed is set up;
        False: none.

    Raises
    ------
    ValueError, TypeError
        For options that do not exist or do not fit; at a step, for sparse gradients.

    Notes
    -----
    A row of zeros has length zero. Its direction is that of its first gradient, downhill, if it is
    zero at the start; else it keeps the one it had. Weights that are changed between steps are
    noticed, unless they are changed through ``.data``. Layers whose inputs were not seen yet (or
    cannot be seen: attention's packed projections, recurrent layers) are stepped in the Euclidean
    metric. Build the optimizer before a compiled model is first called.

    Sources: Kohler et al., AISTATS 2019 (the metric); Salimans and Kingma, NeurIPS 2016; K. Jordan
    et al., Muon (2024); Hübler et al. (2026, arXiv 2606.23637).

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1))
    >>> optimizer = LengthDirection(model, lr=0.02)
    >>> x = torch.linspace(-1, 1, 40).reshape(10, 4)
    >>> losses = []
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     loss = (model(x) - x[:, :1].square()).square().mean()
    ...     loss.backward()
    ...     losses.append(loss.item())
    ...     _ = optimizer.step()
    >>> losses[-1] < losses[0] / 2
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.04,
        *,
        metric: str = "covariance",
        direction: str = "polar",
        length: str = "adam",
        length_lr: float | None = 0.01,
        start_length: float | None = None,
        gains: str | None = None,
        angle: str = "auto",
        angle_schedule: Callable[[int], float] | None = None,
        momentum: float = 0.9,
        nesterov: bool = True,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        tangent: bool = True,
        retraction: str = "normalize",
        largest_angle: float | None = None,
        polar: str = "muon",
        polar_steps: int = 5,
        polar_dtype: torch.dtype | None = None,
        length_momentum: float = 0.0,
        length_decay: float = 0.0,
        positive: bool = False,
        precondition: bool = True,
        damping: float = 0.3,
        covariance_decay: float = 0.9,
        refresh_every: int = 10,
        covariance_rows: int = 1024,
        covariance_inputs: int = 1024,
        rest_lr: float = 1e-2,
        rest_betas: tuple[float, float] = (0.9, 0.95),
        rest_eps: float = 1e-8,
        rest_weight_decay: float = 0.0,
        assign: Override = None,
        chunks: Mapping[str, int] | None = None,
        model: nn.Module | None = None,
        process_group: Any = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "metric": metric,
            "direction": direction,
            "length": length,
            "length_lr": length_lr,
            "start_length": start_length,
            "gains": gains,
            "angle": angle,
            "momentum": momentum,
            "nesterov": nesterov,
            "betas": betas,
            "eps": eps,
            "tangent": tangent,
            "retraction": retraction,
            "largest_angle": largest_angle,
            "polar": polar,
            "polar_steps": polar_steps,
            "polar_dtype": polar_dtype,
            "length_momentum": length_momentum,
            "length_decay": length_decay,
            "positive": positive,
            "precondition": precondition,
            "damping": damping,
            "covariance_decay": covariance_decay,
            "refresh_every": refresh_every,
            "covariance_rows": covariance_rows,
            "covariance_inputs": covariance_inputs,
            "rest_lr": rest_lr,
            "rest_betas": rest_betas,
            "rest_eps": rest_eps,
            "rest_weight_decay": rest_weight_decay,
        }
        check(defaults)
        if isinstance(params, nn.Module):
            model, params = params, named_parameters(params)
        self._model = None if model is None else weakref.ref(model)
        self._angle_schedule = angle_schedule
        self._process_group = process_group
        self._entries: dict[Tensor, Assigned] = {}
        self._inputs: dict[Tensor, covariance.Inputs] = {}
        self._wanted: dict[int, Tensor] = {}  # by the index of a group
        self._written: dict[Tensor, tuple] = {}
        self._angles: dict[str, Tensor] | None = None  # of the last step, on request
        self._warned = False
        groups = _as_groups(params)
        named = [pair for group in groups for pair in _named(group["params"])]
        if not named:
            raise ValueError(refuse("params", "hold parameters", "none"))
        self._assign(named, assign, chunks)
        super().__init__(groups, defaults)

    # --- parameters and groups

    @property
    def assignment(self) -> Assignment:
        """What goes where, as a list that prints as a table."""
        return Assignment(self._entries.values())

    def _assign(
        self,
        named: list[tuple[str | None, Tensor]],
        assign: Override = None,
        chunks: Mapping[str, int] | None = None,
    ) -> None:
        model = None if self._model is None else self._model()
        names = {} if model is None else {id(p): name for name, p in named_parameters(model)}
        start = len(self._entries)
        unique = {id(p): (name, p) for name, p in named}.values()
        entries = bare(
            [(name or names.get(id(p)) or str(start + k), p) for k, (name, p) in enumerate(unique)],
            model,
            assign,
            chunks,
        )
        for entry in entries:
            if entry.rule == "direction":
                check_real(entry)
        self._entries |= {entry.parameter: entry for entry in entries}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; those that go by AdamW become a group of their own.

        Besides options, the group may have ``assign`` and ``chunks`` for its own parameters.
        """
        options = dict(param_group)
        named = _named(options.pop("params"))
        wishes = options.pop("assign", None), options.pop("chunks", None)
        new = [(name, p) for name, p in named if p not in self._entries]
        if new:
            self._assign(new, *wishes)
        options["gains"] = gains({**self.defaults, **options})
        check({**self.defaults, **options})
        for rule in ("direction", "adamw"):
            params = [p for _, p in named if self._entries[p].rule == rule]
            if not params:
                continue
            group = {**options, "params": params, "rule": rule}
            if rule == "adamw":
                group["lr"] = options.get("rest_lr", self.defaults["rest_lr"])
            group.setdefault("lr", self.defaults["lr"])
            group |= {"base_lr": group["lr"], "steps": 0}
            super().add_param_group(group)
            if rule == "direction" and self.param_groups[-1]["metric"] == "covariance":
                self._watch(len(self.param_groups) - 1)

    def _watch(self, index: int) -> None:
        """Hooks on the layers that a group's matrices belong to."""
        group = self.param_groups[index]
        self._wanted[index] = wanted = torch.ones((), dtype=torch.bool)
        if self._model is None:
            advice = "Pass the model, as params or as model=..., or another metric."
            got = "'covariance' without a model, whose layers' inputs it is the covariance of"
            raise ValueError(refuse("metric", "fit the parameters", got, advice))
        for p in group["params"]:
            entry = self._entries[p]
            blocks, _, n = entry.shape
            if not entry.layers or 0 < group["covariance_inputs"] < n:
                continue
            groups = blocks if entry.grouped else 1
            inputs = covariance.Inputs(groups, n, local(p), wanted, group["covariance_rows"])
            self._inputs[p] = inputs
            for layer in entry.layers:
                handle = layer.register_forward_pre_hook(covariance.InputHook(inputs))
                weakref.finalize(self, handle.remove)

    # --- a step

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step, for the parameters that have gradients.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss again, with gradients.

        Returns
        -------
        The closure's loss, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.grad.layout != torch.strided:
                    got = f"a sparse one for {self._entries[p].name!r}"
                    raise ValueError(refuse("gradients", "be dense", got))
        for index, group in enumerate(self.param_groups):
            if group["rule"] == "adamw":
                self._step_rest(group)
                continue
            wanted = self._wanted.get(index)
            if wanted is not None and wanted:
                self._refresh(group)
                self._warn_if_blind(group)
            for stack in self._stacks(group):
                self._turn(group, stack)
            group["steps"] += 1
            self._want(index)
        return loss

    def _warn_if_blind(self, group: dict[str, Any]) -> None:
        """Say so once where there are gradients, but no layer's inputs were ever seen."""
        watched = [p for p in group["params"] if p in self._inputs]
        seen = any(self.state[p].get("covariance_weight", 0.0) > 0 for p in watched)
        if self._warned or seen or not watched:
            return
        if any(p.grad is not None and bool(local(p.grad).count_nonzero()) for p in watched):
            self._warned = True
            warnings.warn(
                f"{WHO}: no layer's inputs were seen, so that steps are in the Euclidean metric. "
                "Build the optimizer before a compiled model is first called, and call the model "
                "itself, in training mode.",
                stacklevel=4,
            )

    def _want(self, index: int) -> None:
        """Whether inputs are gathered up to the next step: at every k-th, or if none were seen."""
        if index not in self._wanted:
            return
        group = self.param_groups[index]
        seen = any(self.state[p].get("covariance_weight", 0.0) > 0 for p in group["params"])
        self._wanted[index].fill_(not seen or group["steps"] % group["refresh_every"] == 0)

    def _step_rest(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        for p in params:
            if not self.state[p]:
                self.state[p] |= {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        states = [self.state[p] for p in params]
        adamw(
            params,
            [p.grad for p in params],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            has_complex=any(p.is_complex() for p in params),
            amsgrad=False,
            beta1=group["rest_betas"][0],
            beta2=group["rest_betas"][1],
            lr=group["lr"],
            weight_decay=group["rest_weight_decay"],
            eps=group["rest_eps"],
            maximize=False,
        )

    def _stacks(self, group: dict[str, Any]) -> Iterable[list[Tensor]]:
        """Parameters whose matrices have one shape and one history, to be stepped together."""
        stacks: dict[tuple, list[Tensor]] = {}
        for p in group["params"]:
            if p.grad is None:
                continue
            view, state = self._view(p, group), self.state[p]
            if "direction" not in state:
                self._begin(view, group)
            elif self._written.get(p) != _mark(p):
                coordinates.take_over(view, state, group)
            if state.get("unstarted") and self._may_start(p, group):
                coordinates.start_lengths(state, group)
            V = state["direction"]
            if view.by_rows:  # in the same order on all ranks, whatever their parts are like
                stacks[id(p),] = [p]
                continue
            key = (V.shape[1:], V.dtype, V.device, state["step"], state["undefined"])
            if V.numel() * len(stacks.get(key, [])) > LARGEST_STACK:
                yield stacks.pop(key)
            stacks.setdefault(key, []).append(p)
        yield from stacks.values()

    def _may_start(self, p: Tensor, group: dict[str, Any]) -> bool:
        """Whether lengths mean something yet, and this is a step: checkpoints begin by one of 0."""
        seen = group["metric"] == "euclidean" or self.state[p].get("covariance_weight", 0.0) > 0
        return seen and bool(local(p.grad).count_nonzero())

    def _turn(self, group: dict[str, Any], params: list[Tensor]) -> None:
        views = [self._view(p, group) for p in params]
        states = [self.state[p] for p in params]
        gradients = [
            view.read(p.grad).to(state["direction"].dtype)
            for view, p, state in zip(views, params, states, strict=True)
        ]
        schedule = self._angle_schedule
        factor = 1.0 if schedule is None else schedule(group["steps"])
        spread = views[0] if views[0].by_rows else None
        weights, before, after = turn(group, states, gradients, factor, spread)
        for k, (view, W) in enumerate(zip(views, weights, strict=True)):
            self._put(view, W)
            if self._angles is not None:
                turned = angles(before[k], after[k], whole=group["metric"] == "frobenius")
                name = view.entry.name
                self._angles[name] = turned if spread is None else spread.gather(turned)

    def _begin(self, view: Matrices, group: dict[str, Any]) -> None:
        p = view.entry.parameter
        state = self.state[p]
        if p in self._inputs and "root" not in state:
            # Nothing was seen yet. All entries are there from the first step on, because
            # torch.distributed.checkpoint loads those that are there already.
            total = self._inputs[p].total
            state |= {"covariance": torch.zeros_like(total), "covariance_weight": 0.0}
            eye = torch.eye(total.shape[-1], dtype=total.dtype, device=local(p).device)
            coordinates.change(state, group, eye, eye)
        coordinates.start(view, state, group)
        self._written[p] = _mark(p)

    def _view(self, p: Tensor, group: dict[str, Any]) -> Matrices:
        return Matrices.of(self._entries[p], group)

    def _put(self, view: Matrices, W: Tensor) -> None:
        view.write(W)
        self._written[view.entry.parameter] = _mark(view.entry.parameter)

    # --- the covariances

    def _refresh(self, group: dict[str, Any]) -> None:
        """Take what the hooks gathered into S; W stays where it is, its coordinates change."""
        seen = [p for p in group["params"] if p in self._inputs]
        if not seen:
            return
        if self._process_group is not False and dist.is_available() and dist.is_initialized():
            covariance.average_over_ranks([self._inputs[p] for p in seen], self._process_group)
        counts = torch.stack([self._inputs[p].rows.cpu() for p in seen]).tolist()
        for p, count in zip(seen, counts, strict=True):
            if not count:
                continue
            inputs, state = self._inputs[p], self.state[p]
            latest, share = inputs.total / count, 1 - group["covariance_decay"]
            weight = group["covariance_decay"] * state.get("covariance_weight", 0.0) + share
            S = state.get("covariance")
            S = latest if S is None else torch.lerp(S, latest, share / weight)
            state["covariance"], state["covariance_weight"] = S, weight
            L, R = covariance.factor(S, group["damping"])
            coordinates.change(state, group, *((L[0], R[0]) if len(L) == 1 else (L, R)))
            inputs.total.zero_()
            inputs.rows.zero_()

    # --- lengths, for those who set them

    def lengths(self, name: str) -> Tensor:
        """The lengths g of a parameter's rows, shape (matrices, rows, 1), or (matrices, 1, 1)."""
        p, group = self._find(name)
        view, state = self._view(p, group), self.state[p]
        if "length" not in state:
            self._begin(view, group)
        return view.gather(state["length"]) if view.by_rows else state["length"].clone()

    @torch.no_grad()
    def set_lengths(self, name: str, lengths: Tensor | float) -> None:
        """Give a parameter's rows the lengths g; their directions stay, W follows at once."""
        p, group = self._find(name)
        view, old = self._view(p, group), self.lengths(name)
        new = torch.as_tensor(lengths, dtype=old.dtype, device=old.device).expand_as(old).clone()
        self.state[p]["length"] = view.own(new) if view.by_rows else new
        self._put(view, coordinates.composed(self.state[p], group))

    def _find(self, name: str) -> tuple[Tensor, dict[str, Any]]:
        for group in self.param_groups:
            for p in group["params"]:
                if group["rule"] == "direction" and self._entries[p].name == name:
                    return p, group
        known = [entry.name for entry in self.assignment if entry.rule == "direction"]
        raise ValueError(no_such_parameter(name, known))

    # --- checkpoints

    def __getstate__(self) -> dict[str, Any]:
        advice = "Make a new one for a copy of the model, and load this one's state_dict into it."
        raise TypeError(refuse("self", "stay with its model", "a copy or a pickle of it", advice))

    def state_dict(self) -> dict[str, Any]:
        """As for every optimizer; with what is being gathered for the covariances.

        Lengths, directions and their moments have shape (all rows, ...), on however many processes
        they are stepped; where a parameter is a DTensor with its rows spread over ranks, so are
        they. What is being gathered is each rank's own, though: between the first call of the model
        and the step, only a checkpoint per rank has all of it.
        """
        for p, inputs in self._inputs.items():
            gathered = {"inputs": inputs.total, "inputs_rows": inputs.rows}
            if inputs.wanted and inputs.rows:
                self.state[p] |= gathered
            else:
                for key in gathered:
                    self.state[p].pop(key, None)
        packed = super().state_dict()
        for k, p, group in self._by_direction(packed):
            view, state = self._view(p, group), packed["state"][k]
            rows = {key: view.saved(state[key]) for key in _BY_ROWS & state.keys()}
            packed["state"][k] = {**state, **rows}
        return packed

    def _by_direction(self, packed: dict[str, Any]) -> Iterable[tuple[int, Tensor, dict]]:
        """(number in a state_dict, parameter, group) of what goes by length and direction."""
        for saved, group in zip(packed["param_groups"], self.param_groups, strict=True):
            if group["rule"] == "direction":
                for k, p in zip(saved["params"], group["params"], strict=True):
                    if k in packed["state"]:
                        yield k, p, group

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken, to the same bits, with the model's weights of then.

        Hyperparameters are those of the saved groups, as for every optimizer.
        """
        super().load_state_dict(state_dict)
        # torch casts what belongs to a parameter to its dtype; lengths and directions of
        # half-precision weights are kept in float32.
        saved = state_dict["state"]
        indices = [k for group in state_dict["param_groups"] for k in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for k, p in zip(indices, params, strict=True):
            for key, value in saved.get(k, {}).items():
                if isinstance(value, Tensor) and self._entries[p].rule == "direction":
                    self.state[p][key] = value.detach().clone().to(local(p).device)
        for k, p, group in self._by_direction(state_dict):
            view, state = self._view(p, group), self.state[p]
            for key in sorted(_BY_ROWS & saved[k].keys()):
                state[key] = view.loaded(state[key])
            if "direction" in state:  # the rank that saved this may have other rows
                state["undefined"] = coordinates.any_zero(state["direction"], group)
        for p, inputs in self._inputs.items():
            for key, into in (("inputs", inputs.total), ("inputs_rows", inputs.rows)):
                gathered = self.state[p].pop(key, None)
                into.zero_() if gathered is None else into.copy_(gathered)
        for index in self._wanted:
            self._want(index)
        self._written.clear()


def _as_groups(params: Any) -> list[dict[str, Any]]:
    if isinstance(params, (Tensor, str, Mapping)):
        got = f"a {type(params).__name__}"
        raise TypeError(refuse("params", "be a model, or an iterable of parameters or groups", got))
    params = list(params)
    if params and isinstance(params[0], dict):
        return [{**group, "params": _named(group["params"])} for group in params]
    return [{"params": _named(params)}]


def _named(params: Any) -> list[tuple[str | None, Tensor]]:
    """(name, parameter) of whatever a group's "params" may be."""
    items = [params] if isinstance(params, Tensor) else list(params)
    pairs = [item if isinstance(item, tuple) else (None, item) for item in items]
    for _, p in pairs:
        if not isinstance(p, Tensor):
            raise TypeError(refuse("params", "hold tensors", f"a {type(p).__name__}"))
    return pairs


def _mark(p: Tensor) -> tuple:
    """Changes when somebody writes to the parameter."""
    p = local(p)
    return p._version, p.data_ptr()
