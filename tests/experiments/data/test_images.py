"""Images: CIFAR-10, of which nothing is executed, the digits, and balanced choices of rows."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from made_images import FILES, TRAINING, batch, pickled, pickled_by_python_2, write_cifar10
from polarstep.experiments.data import images as module
from polarstep.experiments.data.images import find_cifar10, image_data, images

NAME = "cifar-10-batches-py"


@pytest.fixture(autouse=True)
def _forget():
    yield
    images.cache_clear()


def channels(X):
    return np.moveaxis(X.reshape(len(X), 3, 1024), 1, 0).reshape(3, -1)


def raw(files):
    return np.concatenate([batch(FILES.index(file))[0] for file in files]).astype(float)


# --------------------------------------------------------------------------- where they are


@pytest.mark.parametrize("place", [f"cifar10/{NAME}", NAME, "."])
def test_cifar10_is_found_in_each_of_its_places(tmp_path, place):
    write_cifar10(tmp_path / "data" / place)
    assert find_cifar10(tmp_path / "data") == tmp_path / "data" / place
    assert image_data(tmp_path / "data") == "cifar10"
    assert images(tmp_path / "data").name == "cifar10"


@pytest.mark.parametrize("other", [None, "cifar10", NAME, f"cifar10/{NAME}.part-x1y2/{NAME}"])
def test_without_cifar10_the_images_are_the_digits(tmp_path, other):
    """Empty folders and partly unpacked archives are not taken for CIFAR-10."""
    if other is not None and "part" in other:
        write_cifar10(tmp_path / other)
    elif other is not None:
        (tmp_path / other).mkdir(parents=True)
    for folder in (None, tmp_path):
        assert find_cifar10(folder) is None
        assert image_data(folder) == images(folder).name == "digits"


# --------------------------------------------------------------------------- what they are


def test_the_digits():
    data = images(None)
    assert data.X.shape == (1437, 64)
    assert data.X_test.shape == (360, 64)
    assert data.X.mean() == pytest.approx(0, abs=1e-5)
    assert data.X.std() == pytest.approx(1, abs=1e-5)
    assert 0 < abs(data.X_test.mean()) < 0.05
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    all_rows = np.concatenate([data.X, data.X_test])
    scale = np.ptp(X) / np.ptp(all_rows)
    restored = np.round((all_rows - all_rows.min()) * scale).astype(int)
    ours = zip(map(tuple, restored), [*data.y, *data.y_test], strict=True)
    assert sorted(ours) == sorted(zip(map(tuple, X.astype(int)), y, strict=True))


@pytest.mark.parametrize("write", [pickled, pickled_by_python_2])
def test_cifar10_is_read_as_it_was_written(tmp_path, write):
    folder = write_cifar10(tmp_path / NAME)
    for seed, file in enumerate(FILES[:-1]):
        (folder / file).write_bytes(write(*batch(seed)))
    data = images(tmp_path)
    assert (data.X.shape, data.X_test.shape) == ((100, 3072), (20, 3072))
    assert list(data.y) == [i % 10 for i in range(20)] * 5
    train, test = raw(TRAINING), raw(["test_batch"])
    means, stds = (f(channels(train), axis=1)[:, None] for f in (np.mean, np.std))
    np.testing.assert_allclose(channels(data.X), (channels(train) - means) / stds, atol=1e-5)
    np.testing.assert_allclose(channels(data.X_test), (channels(test) - means) / stds, atol=1e-5)


def test_arrays_in_fortran_order_are_the_same_images(tmp_path):
    folder = write_cifar10(tmp_path / NAME)
    expected = images(folder)
    for seed, file in enumerate(FILES[:-1]):
        X, labels = batch(seed)
        (folder / file).write_bytes(pickled(np.asfortranarray(X), labels))
    np.testing.assert_array_equal(images(tmp_path).X, expected.X)


@pytest.mark.parametrize("name", ["cifar10", "digits"])
def test_the_types_are_the_same_for_both(tmp_path, name):
    if name == "cifar10":
        write_cifar10(tmp_path / NAME)
    data = images(tmp_path, 50, 10)
    assert data.name == name
    assert data.n_classes == 10
    for X, y, n in ((data.X, data.y, 50), (data.X_test, data.y_test, 10)):
        assert (X.dtype, X.ndim, len(X)) == (np.float32, 2, n)
        assert (y.dtype, y.shape) == (np.int64, (n,))
        assert X.flags.c_contiguous
        assert set(y) == set(range(10))


def test_a_channel_of_one_colour_stays_finite(tmp_path):
    folder = write_cifar10(tmp_path / NAME)
    for seed, file in enumerate(FILES[:-1]):
        X, labels = batch(seed)
        X[:, 1024:2048] = 7
        (folder / file).write_bytes(pickled(X, labels))
    X = images(tmp_path).X
    assert not X[:, 1024:2048].any()
    assert np.isfinite(X).all()


def test_the_real_images():
    folder = os.environ.get("POLARSTEP_DATA")
    if folder is None or find_cifar10(Path(folder)) is None:
        pytest.skip(f"POLARSTEP_DATA does not name a folder that holds cifar10/{NAME}")
    data = images(Path(folder), 2_000, 1_000)
    assert data.name == "cifar10"
    assert (data.X.shape, data.X_test.shape) == ((2_000, 3072), (1_000, 3072))
    assert list(np.bincount(data.y)) == [200] * 10
    assert list(np.bincount(data.y_test)) == [100] * 10
    np.testing.assert_allclose(channels(data.X).mean(axis=1), 0, atol=1e-3)
    np.testing.assert_allclose(channels(data.X).std(axis=1), 1, atol=1e-3)
    # Neighbours in a photograph are alike, along the rows and from row to row.
    photos = data.X.reshape(-1, 3, 32, 32)
    assert np.mean(photos[..., 1:] * photos[..., :-1]) > 0.9
    assert np.mean(photos[..., 1:, :] * photos[..., :-1, :]) > 0.9
    assert len(np.unique(data.X, axis=0)) > 1_990


# --------------------------------------------------------------------------- choices of rows


@pytest.mark.parametrize("n", [1, 9, 10, 25, 100])
def test_a_choice_is_balanced(tmp_path, n):
    write_cifar10(tmp_path / NAME)
    counts = np.bincount(images(tmp_path, n_train=n).y, minlength=10)
    assert counts.sum() == n
    assert np.ptp(counts) == (n % 10 > 0)


def test_where_a_class_has_run_out_the_others_fill_up(tmp_path):
    folder = write_cifar10(tmp_path / NAME)
    X, _ = batch(5)
    (folder / "test_batch").write_bytes(pickled(X, [0] + [1] * 4 + [2] * 15))
    assert list(np.bincount(images(tmp_path, n_test=12).y_test)) == [1, 4, 7]


def test_a_choice_is_the_same_every_time_and_part_of_a_larger_one(tmp_path):
    folder = write_cifar10(tmp_path / NAME)
    for seed, file in enumerate(FILES[:-1]):  # images that say which they are
        X, labels = batch(seed)
        X[:, 0], X[:, 1] = seed, range(len(X))
        (folder / file).write_bytes(pickled(X, labels))

    def chosen(n):
        X = images(tmp_path, n, n).X[:, :2]
        values = [np.unique(column, return_inverse=True)[1] for column in X.T]
        return np.stack(values, axis=1)

    first = chosen(60)
    images.cache_clear()
    np.testing.assert_array_equal(chosen(60), first)
    assert set(first[:, 0]) == set(range(5))  # all batches
    raw_rows = [{tuple(row[1:]) for row in _restored(images(tmp_path, n))} for n in (30, 60)]
    assert len(raw_rows[0]) == 30
    assert raw_rows[0] < raw_rows[1]


def _restored(data):
    """Return the bytes of the red channel, whose scale is known: all choices have 0 and 255."""
    red = data.X[:, :1024].astype(float)
    return np.round((red - red.min()) * 255 / np.ptp(red)).astype(int)


def test_more_images_than_there_are_is_all(tmp_path):
    write_cifar10(tmp_path / NAME)
    data = images(tmp_path, 10_000, 10_000)
    np.testing.assert_array_equal(data.X, images(tmp_path).X)
    np.testing.assert_array_equal(data.X_test, images(tmp_path).X_test)


@pytest.mark.parametrize("argument", ["n_train", "n_test"])
@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), ("all", TypeError)]
)
def test_a_number_of_images_must_be_a_positive_whole_one(argument, n, error):
    with pytest.raises(error, match=rf"images: `{argument}` must be a whole number >= 1; got"):
        images(None, **{argument: n})


# --------------------------------------------------------------------------- damaged files


def refused(folder, content, file="data_batch_3"):
    """Return the error about a file with this content, which names the file and a remedy."""
    path = write_cifar10(folder / NAME) / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or altered") as caught:
        images(folder)
    message = str(caught.value)
    assert message.startswith(f"cifar10: `{path}` must ")
    assert f"delete {path.parent} and run polarstep data fetch cifar10 --data {folder}" in message
    return message


@pytest.mark.parametrize("file", FILES[:-1])
def test_a_missing_batch_is_named(tmp_path, file):
    assert "no such file" in refused(tmp_path, None, file)


@pytest.mark.parametrize("content", [b"", b"\x80", b"<html>", b"\x00\xff" * 50, b"N.", b"]."])
def test_a_file_that_is_not_cifar10_is_refused(tmp_path, content):
    assert f"{len(content)} bytes that cannot be read" in refused(tmp_path, content)


@pytest.mark.parametrize("write", [pickled, pickled_by_python_2])
def test_a_truncated_batch_is_refused_wherever_it_breaks_off(tmp_path, write):
    content = write(*batch(0, 1))
    cuts = [*range(0, 250, 7), *range(250, len(content), 500), len(content) - 1]
    path = write_cifar10(tmp_path / NAME) / "data_batch_1"
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=rf"{cut:,} bytes that cannot be read"):
            images(tmp_path)


@pytest.mark.parametrize("missing", [b"data", b"labels"])
def test_a_batch_without_one_of_its_entries_is_refused(tmp_path, missing):
    X, labels = batch(0)
    content = {b"data": X, b"labels": labels}
    del content[missing]
    assert missing.decode() in refused(tmp_path, pickle.dumps(content, protocol=4))


@pytest.mark.parametrize(
    "shape", [(20, 3071), (20, 1024), (20 * 3072,), (20, 3, 1024), (0, 3072), ()]
)
def test_images_of_another_shape_are_refused(tmp_path, shape):
    content = pickled(np.zeros(shape, np.uint8), [0] * 20)
    message = refused(tmp_path, content)
    assert f"must hold b'data' of shape (n, 3072); got shape {shape}" in message


@pytest.mark.parametrize("dtype", [np.int8, np.float64, np.int64, object, "V3"])
def test_images_of_another_type_are_refused(tmp_path, dtype):
    content = pickled(np.zeros((20, 3072), dtype), [0] * 20)
    assert "instead of uint8" in refused(tmp_path, content)


@pytest.mark.parametrize("data", [None, "text", [[0] * 3072], 5])
def test_images_that_are_no_array_are_refused(tmp_path, data):
    assert "cannot be read" in refused(tmp_path, pickled(data, [0]))


def test_fewer_bytes_than_the_shape_says_are_refused(tmp_path):
    content = pickled_by_python_2(*batch(0, 1))
    lying = content.replace(b"J\x01\0\0\0J\x01\0\0\0J\0\x0c", b"J\x01\0\0\0J\x02\0\0\0J\0\x0c")
    assert lying != content
    assert "cannot reshape" in refused(tmp_path, lying)


@pytest.mark.parametrize("n", [0, 19, 21])
def test_labels_for_another_number_of_images_are_refused(tmp_path, n):
    message = refused(tmp_path, pickled(batch(0)[0], [0] * n))
    assert f"must hold 20 b'labels' from 0 to 9, one per image; got {n}." in message


@pytest.mark.parametrize("label", [-1, 10, 255, 1.0, True, None, b"3"])
def test_labels_out_of_range_are_refused(tmp_path, label):
    X, labels = batch(0)
    labels[7] = label
    assert f"got {label!r} at position 7" in refused(tmp_path, pickled(X, labels))


def test_labels_that_are_no_list_are_refused(tmp_path):
    assert "got dict" in refused(tmp_path, pickled(batch(0)[0], {}))


def test_a_batch_that_cannot_be_opened_is_an_os_error(tmp_path):
    path = write_cifar10(tmp_path / NAME) / "data_batch_2"
    path.unlink()
    if os.geteuid() == 0 and Path("/proc/self/mem").exists():
        path.symlink_to("/proc/self/mem")  # a file whose first page not even root can read
    else:
        path.write_text("")
        path.chmod(0)
    with pytest.raises(OSError, match=r"\[Errno"):
        images(tmp_path)


# --------------------------------------------------------------------------- hostile files


class Call:
    """An object that is pickled as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_file_is_not_executed(tmp_path, protocol):
    proof = tmp_path / "proof"
    content = pickle.dumps([Call(os.mkdir, str(proof))], protocol=protocol)
    message = refused(tmp_path / "data", content)
    assert f"got a reference to {os.mkdir.__module__}.mkdir, which was not called" in message
    assert not proof.exists()
    pickle.loads(content)  # what would have been done
    assert proof.exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"(cos\nsystem\nS'true'\no.", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
        (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
        (b"ccopyreg\n_reconstructor\n.", "copyreg._reconstructor"),
        (b"c_codecs\nencode\n.", "_codecs.encode"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"cnumpy\nndarray.tofile\n.", "numpy.ndarray.tofile"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "numpy.ndarray.tofile"),
        (b"cnumpy.core.multiarray\nfromfile\n.", "numpy.core.multiarray.fromfile"),
        (b"cno.such.module\nat_all\n.", "no.such.module.at_all"),
    ],
)
def test_whatever_is_not_needed_for_an_array_is_forbidden(tmp_path, content, named):
    assert f"a reference to {named}, which was not called" in refused(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray\n}b.",  # the state of a class
        b"}(C\x04datacnumpy\nndarray\nC\x06labels]u.",  # a class in place of an array
        b"}(C\x04datacnumpy\nndarray\n)RC\x06labels]u.",  # an array of which nothing is said
        b"}(C\x04datacnumpy\nndarray\n)\x81N}b",  # and then the end
        b"}(C\x04datacnumpy\nndarray\n)R(K\x01K\x02K\x03K\x04K\x05tbC\x06labels]u.",
        b"P1\n.",  # persistent objects
        b"\x82\x01.",  # registered extensions
    ],
)
def test_admitted_names_cannot_be_misused(tmp_path, content):
    assert "cannot be read" in refused(tmp_path, content)
    assert not vars(module._Stored)["arguments"]
