"""A small imitation of CIFAR-10: random images in the layout of the published files."""

import pickle
import struct

import numpy as np

TRAINING = [f"data_batch_{i}" for i in range(1, 6)]
FILES = [*TRAINING, "test_batch", "batches.meta"]


def batch(seed, n=20):
    """Return n random images, and labels that run through the classes in turn."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 3072), dtype=np.uint8), [i % 10 for i in range(n)]


def pickled(X, labels, **more):
    """Return the bytes of a batch as Python 3 writes them."""
    return pickle.dumps({b"labels": labels, b"data": X, **more}, protocol=4)


def pickled_by_python_2(X, labels):
    """Return the bytes of a batch as Python 2 and numpy 1 wrote the published files."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def number(value):
        return b"J" + struct.pack("<i", value)

    array = (
        *(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n", number(0), b"\x85"),
        *(text(b"b"), b"\x87R(", number(1), number(X.shape[0]), number(X.shape[1]), b"\x86"),
        *(b"cnumpy\ndtype\n", text(b"u1"), number(0), number(1), b"\x87R(", number(3)),
        *(text(b"|"), b"NNN", number(-1), number(-1), number(0), b"tb\x89"),
        *(b"T", struct.pack("<i", X.size), X.tobytes(), b"tb"),
    )
    listed = (b"](", *map(number, labels), b"e")
    entries = (text(b"labels"), *listed, text(b"data"), *array)
    return b"".join((b"\x80\x02}(", *entries, b"u."))


def write_cifar10(folder, n=20):
    """Write the seven files to a new folder, with n images in each of the six batches."""
    folder.mkdir(parents=True)
    for seed, file in enumerate(FILES[:-1]):
        (folder / file).write_bytes(pickled(*batch(seed, n)))
    (folder / FILES[-1]).write_bytes(pickle.dumps({b"num_cases_per_batch": n}, protocol=4))
    return folder
