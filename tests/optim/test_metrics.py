"""The metrics and their options."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from optim_training import network, run  # noqa: E402
from polarstep.optim import Covariance, Euclidean, Frobenius, LengthDirection  # noqa: E402
from polarstep.optim.spheres import MATRIX, ROWS  # noqa: E402


def test_layers_of_many_inputs_are_stepped_in_the_euclidean_metric():
    def ended(**options):
        model = network()
        run(model, LengthDirection(model, 0.05, **options), torch.randn(20, 6), steps=3)
        return [p.detach().clone() for p in model.parameters()]

    torch.manual_seed(0)
    euclidean = ended(metric="euclidean")
    torch.manual_seed(0)
    limited = ended(metric=Covariance(max_inputs=5))
    torch.manual_seed(0)
    whole = ended(metric=Covariance(max_inputs=0))
    torch.testing.assert_close(limited, euclidean)
    assert not torch.allclose(whole[0], euclidean[0])


def test_the_gradient_is_tangent_unless_it_is_not_to_be():
    C, V = torch.randn(2, 4, 3), 2 * MATRIX.unit(torch.randn(2, 4, 3))
    assert Frobenius(tangent=False).gradient(C, V, 2.0) is C
    tangent = Frobenius().gradient(C, V, 2.0)
    torch.testing.assert_close(MATRIX.inner(tangent, V), torch.zeros(2, 1, 1), atol=1e-5, rtol=0)
    U = ROWS.unit(V)
    rows = Euclidean().gradient(C, U, 1.0)
    torch.testing.assert_close(ROWS.inner(rows, U), torch.zeros(2, 4, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Covariance(damping=-1.0), "Covariance: `damping` must be a finite number >= 0"),
        (lambda: Covariance(decay=1.0), "Covariance: `decay` must be a number < 1"),
        (lambda: Covariance(refresh_every=0), "`refresh_every` must be a whole number >= 1"),
        (lambda: Covariance(rows=0.5), "`rows` must be a whole number >= 0"),
        (lambda: Covariance(max_inputs=-1), "`max_inputs` must be a whole number >= 0"),
        (lambda: Covariance(precondition=None), "`precondition` must be True or False"),
        (lambda: Euclidean(tangent=1), "Euclidean: `tangent` must be True or False"),
        (lambda: Frobenius(tangent="no"), "Frobenius: `tangent` must be True or False"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
