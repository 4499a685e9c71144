"""The page: self-contained, well-formed, and made from any rows."""

import json
import re

import pytest

from full_report import (
    CURVES,
    DEEP,
    DEEP_RUNS,
    METRIC,
    NETWORK,
    POPULATION,
    described,
    full_rows,
    made_runs,
    tuning,
)
from html_page import Page
from made_rows import (
    attempts,
    cell,
    deep,
    metric,
    one_training,
    population,
    rows,
    run,
    training_run,
)
from polarstep.experiments.registry import EXPERIMENTS
from polarstep.experiments.report.page import write_report
from polarstep.experiments.report.verdicts import verdicts


def write(folder, made):
    kinds = rows(*made)
    for name in EXPERIMENTS:
        lines = [json.dumps(r) + "\n" for r in kinds.of(name)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return write_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def full():
    return full_rows()


@pytest.fixture(scope="module")
def page(full, tmp_path_factory):
    return write(tmp_path_factory.mktemp("report"), full.all)


@pytest.fixture(scope="module")
def parsed(page):
    return Page(page)


# --------------------------------------------------------------------------- the page


def test_the_page_loads_nothing(page, parsed):
    for tag, attributes in parsed.tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                assert value.startswith("#")
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_ids_of_the_page_are_unique(parsed):
    assert len(parsed.ids) == len(set(parsed.ids))


def test_every_link_of_the_page_resolves(parsed, full):
    assert parsed.links <= set(parsed.ids)
    assert {verdict.figure for verdict in verdicts(full)} - {None} <= parsed.links


@pytest.mark.parametrize(
    "words",
    [
        r"On Gaussian data the convergence is linear",
        r"speeds up the real data",
        r"BN and WN come close to GDNP",
        r"makes deep networks train faster",
        r"depend less on one another",
        r"dependence between the layers falls over time",
        r"provably accelerate gradient descent on a non-convex problem",
        r"length-direction decoupling, rather than less covariate shift or a smoother loss",
        r"exponential rates on a structured non-convex problem",
        r"change curvature and the dependence between layers",
        r"carry over to deep, realistic networks",
    ],
)
def test_every_finding_and_question_of_the_paper_is_answered(parsed, words):
    text = re.sub(r"\s+", " ", parsed.text)
    verdict = r"(holds in part|holds|does not hold|not measured)"
    assert re.search(rf"{words}[^.?]*[.?]\s*{verdict}\s.*?Rule: ", text)


def test_every_verdict_stands_with_its_rule(parsed, full):
    badges = [a["class"] for tag, a in parsed.tags if "badge" in a.get("class", "")]
    assert len(badges) == len(verdicts(full)) == parsed.text.count("Rule: ")
    assert {badge.split()[1] for badge in badges} <= {"holds", "part", "fails", "unknown"}


def test_the_page_shows_settings_and_steps(parsed):
    assert "at the end of the coarse grid" in parsed.text
    assert "E[x] = 0: holds" in parsed.text
    assert "polarstep 0" in parsed.text  # the version that made the rows
    assert "preset\nquick" in parsed.text
    text = re.sub(r"\s+", " ", parsed.text)
    assert "10 of the images" in text  # that the coupling was measured on
    assert "6 tuning attempts and to 0 runs" in text
    assert "relu, batch: 0.001: 1.5," in text
    assert "tanh, AdamW: 0.001: 0.2, 0.00316: 0.1," in text
    assert "in 20 steps on mini-batches of 5, from 2 random starts" in text


def test_text_from_the_rows_is_escaped(tmp_path):
    made = [described("<b>bold</b>"), tuning(data="<b>bold</b>"), *NETWORK]
    made[0]["environment"] = {"polarstep": "<script>alert(1)</script>"}
    made += made_runs(data=["<i>tilted</i>"], variants=["softplus"])
    source = write(tmp_path, made)
    tags = {tag for tag, _ in Page(source).tags}
    assert not tags & {"b", "i", "script"}
    assert "<script>alert(1)</script>" in Page(source).text


# --------------------------------------------------------------------------- some of the rows


@pytest.mark.parametrize(
    "made",
    [
        [described()],
        [tuning(score=None)],
        POPULATION,
        POPULATION[:1],
        [population("sigmoid", 10, method="gd")],
        [population("sigmoid", 10), population("sigmoid", 100, method="gd")],
        [run("gd", 1.0)],
        [described(), *made_runs(data=["gaussian"], variants=["softplus"])[:-1]],
        cell(CURVES, start="plateau")[1:],
        cell(CURVES, data="breast_cancer", variant="sigmoid, cap")[1:],
        NETWORK,
        NETWORK[:1],
        NETWORK[1:2],
        NETWORK[2:],
        attempts(),
        attempts()[:-1],
        DEEP[:102],
        DEEP_RUNS,
        DEEP[:103],
        DEEP[:104],
        DEEP[:-1],
        deep({}, status="diverged"),
        [*attempts(), training_run()],
        [*attempts(), training_run(cross=None, own=None, shift=None, roughness=None)],
        [*attempts(), training_run(cross=0.0, own=0.0, shift=0.0, gradient=0.0, roughness=0.0)],
        [*attempts(normalization="batch"), training_run(normalization="batch")],
        [*attempts(), training_run(data="cifar10")],
        METRIC,
        METRIC[:-1],
        METRIC[:8],
        [one_training()],
        metric(status="diverged"),
        metric({"batch normalization": {"status": "diverged"}}),
        metric(data="cifar10"),
        [*METRIC, one_training(data="cifar10")],
    ],
    ids=[
        "reference",
        "tuning without a stable step",
        "population",
        "population of one loss",
        "population of gd alone",
        "population, gd ahead",
        "one run",
        "runs but the last",
        "one start",
        "real data alone",
        "network",
        "network, softplus",
        "network, squared",
        "network, data",
        "tuning of one network",
        "tuning of one network but the last rate",
        "tuning of all networks",
        "deep runs without their tuning",
        "one deep run",
        "two deep runs",
        "deep runs but the last",
        "deep runs that diverged",
        "one network at its own rate",
        "what is measured is not finite",
        "dead layers",
        "batch normalization alone",
        "tuned on other data",
        "metrics",
        "metrics but the last training",
        "one sweep of the metrics",
        "one training of the metrics",
        "metrics, all diverged",
        "metrics, batch normalization diverged",
        "metrics on small pictures",
        "metrics on other data",
    ],
)
def test_any_rows_make_a_page(tmp_path, made):
    """An interruption can leave any of these sets of rows."""
    parsed = Page(write(tmp_path, made))
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.links <= set(parsed.ids)


def test_the_page_before_stays_until_the_new_one_is_whole(tmp_path):
    first = write(tmp_path, NETWORK[:1])
    (tmp_path / "report.html.part").mkdir()  # the new one cannot be written
    with pytest.raises(OSError, match=r"report\.html\.part"):
        write_report(tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == first
