"""Rows of trained networks."""

from made_rows import training_run
from polarstep.experiments.networks.rows import NetworkRows, diverged


def test_only_the_rows_of_the_data_set_that_ran_last_are_kept():
    cifar10, digits = training_run(data="cifar10"), training_run(data="digits")
    assert NetworkRows((cifar10, digits)).rows == [digits]
    assert NetworkRows((digits, cifar10, cifar10)).rows == [cifar10, cifar10]
    assert NetworkRows(()).rows == []


def test_a_training_diverged_if_its_status_says_so():
    assert diverged(training_run(status="diverged"))
    assert not diverged(training_run())
