"""Images as tensors."""

import pytest

torch = pytest.importorskip("torch", reason="networks need PyTorch")

from made_images import write_cifar10  # noqa: E402
from polarstep.experiments.data.images import images  # noqa: E402
from polarstep.experiments.networks.images import load_images  # noqa: E402


def test_tensors_hold_the_images_of_the_data_set_that_the_spec_names(tmp_path):
    write_cifar10(tmp_path / "cifar-10-batches-py")
    for name, folder in (("digits", None), ("cifar10", tmp_path)):
        training, validation = load_images({"data": name, "samples": 30}, tmp_path, 12)
        expected = images(folder, 30, 12)
        for (X, y), X_expected, y_expected in (
            (training, expected.X, expected.y),
            (validation, expected.X_test, expected.y_test),
        ):
            assert X.dtype == torch.float32
            assert y.dtype == torch.int64
            assert X.numpy().tolist() == X_expected.tolist()
            assert y.numpy().tolist() == y_expected.tolist()
