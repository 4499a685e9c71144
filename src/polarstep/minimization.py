"""The function `minimize`, which runs the paper's loop or the solver of the linear models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .methods import loop
from .methods.halfspace import Halfspace
from .methods.objective import Objective
from .methods.table import METHODS, Method, check_options, find_method, keywords
from .result import Progress, Result
from .validation import check_callback, complaint, number, type_of, whole_number


def minimize(
    objective: Objective,
    method: str | Method = "gdnp",
    w0: Any = None,
    *,
    max_iter: int = 200,
    tol: float = 1e-8,
    callback: Callable[[Progress], Any] | None = None,
    **options: Any,
) -> Result:
    """Minimise an objective f(wt) by one of the methods of the paper.

    Parameters
    ----------
    objective : LeastSquares, Halfspace, GaussianHalfspace or Objective
        The objective.
    method : str or Method, default "gdnp"
        "gdnp", "gd", "agd", "wn", "bn", "whitened", or a `polarstep.methods.Method` of your own.
    w0 : array-like, shape (d,), optional
        The start: wt itself for gd and agd, the vector w, of any scale, for the others. The default
        is -u/||u||_S. The component outside the range of S, on which no margin depends, is dropped.
    max_iter : int, default 200
        The largest number of steps.
    tol : float, default 1e-8
        The tolerance on ||grad f(wt)||_{S^-1}, a norm that does not depend on the scale of the
        features. For the method whitened on a `Halfspace` it is the tolerance on the `gap` of the
        `Result`, the estimated relative suboptimality (f - f*)/(|f| + 1e-14 f(0)).
    callback : callable, optional
        A function that is called with a `Progress` at every iterate. It may raise StopIteration to
        stop the run.
    **options
        The options of the method, as listed in the notes.

    Returns
    -------
    Result
        The solution, its status and its trace. A run that fails raises no error: its status says
        what happened and what to do. After a KeyboardInterrupt it holds the iterates so far.

    Raises
    ------
    ValueError, TypeError
        If an argument is not valid. All arguments are checked before the run starts. The message
        about an unknown name lists the known ones.

    Notes
    -----
    The options are

    - ``step_size`` (gd, agd, wn, bn, gdnp): the constant step of the weight or the direction;
    - ``length`` (wn, bn, gdnp): the length g to start from, 1 by default;
    - ``length_step_size`` (wn, bn): the constant step of the length;
    - ``bisection_steps`` (gdnp): the number of halvings in the length search; by default the
      length is exact up to rounding;
    - ``n_restarts``, ``seed`` and ``n_threads`` (whitened on a `Halfspace`): the number of
      additional starts for a loss that is not convex, of which the best result is kept; the seed
      of the subsamples; the number of threads.

    `polarstep.methods.steps` and `polarstep.methods.lengths` document the rules of the methods and
    their defaults. On a `Halfspace`, whitened is the solver of `polarstep.HalfspaceClassifier`. It
    starts on the line S^-1 u and continues with a subsampled, preconditioned quasi-Newton method.
    The gradient norms of its trace are in the metric of that method.

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), Algorithm 1 and section 5.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> import polarstep as ps
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> result = ps.minimize(ps.Halfspace(X, y, length_penalty=0.01), "gdnp", max_iter=5)
    >>> result.status.name, len(result.trace)
    ('max_iter', 6)
    """
    chosen = find_method(method)
    if not isinstance(objective, Objective):
        must, got = "be an objective", type_of(objective)
        advice = "Wrap your data, for instance in ps.Halfspace(X, y) or ps.LeastSquares(X, y)."
        raise TypeError(complaint("minimize", "objective", must, got, advice))
    max_iter = whole_number(max_iter, "minimize", "max_iter")
    tol = number(tol, "minimize", "tol", at_least=0)
    check_callback(callback, "minimize")
    if chosen is METHODS["whitened"] and isinstance(objective, Halfspace):
        from .linear_model.halfspace_minimization import minimize_halfspace

        check_options(options, set(keywords(minimize_halfspace)), chosen.name)
        return minimize_halfspace(objective, w0, max_iter, tol, callback, **options)
    return loop.run(
        objective, chosen, w0, max_iter=max_iter, tol=tol, callback=callback, options=options
    )
