"""The figures on deep networks: learning rates, training, and explanations."""

from made_rows import attempts, deep, training_run
from polarstep.experiments.deep.analysis import Analysis
from polarstep.experiments.deep.figures import explanations, figures, rates, training

FULL = Analysis(tuple(deep({"batch": {"digits": 0.2, "shift": 0.5}}, seeds=2)))


def test_there_is_a_figure_for_everything_that_was_measured():
    ids = [figure.id for figure in figures(FULL)]
    assert ids[:2] == ["deep-rates", "deep-training"]
    assert ids[-3:] == ["deep-controls", "deep-loss", "deep-explanations"]
    assert [id for id in ids if id.startswith("deep-coupling-")] == [
        f"deep-coupling-{activation}{end}"
        for activation in ("relu", "tanh")
        for end in ("", "-directions")
    ]
    assert list(figures(Analysis(()))) == []
    assert [figure.id for figure in figures(Analysis(tuple(attempts())))] == ["deep-rates"]


def test_captions_hold_the_numbers_of_the_rows():
    assert "relu batch: 1, 1; relu weight: 0.1, 0.75" in rates(FULL).caption
    caption = training(FULL, ["relu"]).caption
    assert "with relu, batch normalization 2, weight normalization 1" in caption
    assert "Of 24 runs at all rates, 0 diverged." in caption
    assert "covariate shift +" in explanations(FULL, ["relu"]).caption


def test_captions_say_so_if_there_is_too_little_to_compare():
    one = Analysis((*attempts(), training_run()))
    assert "Of 1 runs at all rates, 0 diverged." in training(one, ["relu"]).caption
    assert "There are too few runs to rank." in explanations(one, ["relu"]).caption
