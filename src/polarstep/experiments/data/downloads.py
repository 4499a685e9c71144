"""Downloads of public data sets, with their checksums."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ...validation import complaint, look_up


@dataclass(frozen=True)
class Archive:
    """The contents of a tar archive: regular files in one folder, and nothing else."""

    folder: str
    files: frozenset[str]
    may_hold: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Download:
    """Files on one server, their checksums ("algorithm:digest"), and the subfolder they go to."""

    folder: str
    base_url: str
    files: Mapping[str, str]
    archive: Archive | None = None  # the contents of the only file, if that is an archive


DOWNLOADS: dict[str, Download] = {
    # LIBSVM's copies of the UCI Adult data (Platt 1998): https://www.csie.ntu.edu.tw/~cjlin/libsvmtools
    "a9a": Download(
        "libsvm",
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/",
        {
            "a9a": "sha256:7ba53cccb27e2e525f0fb173e1f446d49856e3fb007eb43be4ec6d0f5b3335ca",
            "a9a.t": "sha256:1f448a153f0320399a7e40836eb207655b0bde0f21fc941cc472193daa9f5de9",
        },
    ),
    # Krizhevsky 2009, Learning multiple layers of features from tiny images; 163 MB. The authors
    # publish the digest on https://www.cs.toronto.edu/~kriz/cifar.html
    "cifar10": Download(
        "cifar10",
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
        Archive(
            "cifar-10-batches-py",
            frozenset({"batches.meta", "test_batch", *(f"data_batch_{i}" for i in range(1, 6))}),
            may_hold=frozenset({"readme.html"}),
        ),
    ),
}


def fetch(
    name: str, folder: Path, *, base_url: str = "", retries: int = 2, timeout: float = 30.0
) -> list[Path]:
    """Download a public data set into a data folder, unless it is there already.

    Files are downloaded under temporary names and renamed after their checksums are verified. An
    archive is unpacked and then removed; if the unpacking is interrupted, the archive is kept and
    need not be downloaded again.

    Parameters
    ----------
    name
        A key of `DOWNLOADS`.
    folder
        The data folder. a9a is written to folder/libsvm, CIFAR-10 to
        folder/cifar10/cifar-10-batches-py.
    base_url
        The address of a server to use instead of the publisher's.
    retries
        The number of times that a failed download is repeated.
    timeout
        The number of seconds after which a silent server counts as failed.

    Returns
    -------
    list of Path
        The files, or the folder from the archive.

    Raises
    ------
    ValueError
        The name is unknown, the checksum of a download differs (the file is not kept), an archive
        contains anything unexpected, or the folder of the archive exists and lacks files.
    OSError
        The server or the folder cannot be reached.
    """
    import pooch

    download = look_up(name, DOWNLOADS, "polarstep data fetch", "NAME")
    place = folder / download.folder
    if download.archive and _is_unpacked(place, download.archive):
        return [place / download.archive.folder]
    paths = [
        Path(
            pooch.create(
                path=place,
                base_url=base_url or download.base_url,
                registry={file: digest},
                retry_if_failed=retries,
            ).fetch(file, downloader=pooch.HTTPDownloader(progressbar=True, timeout=timeout))
        )
        for file, digest in download.files.items()
    ]
    return [unpack(paths[0], download.archive)] if download.archive else paths


def _is_unpacked(place: Path, archive: Archive) -> bool:
    """Return whether the archive's folder exists; raise ValueError if it exists and lacks files."""
    unpacked = place / archive.folder
    if not unpacked.exists():
        return False
    if missing := sorted(file for file in archive.files if not (unpacked / file).is_file()):
        got = f"one without {', '.join(missing)}"
        who, advice = "polarstep data fetch", "Delete it, and fetch again."
        raise ValueError(complaint(who, str(unpacked), "be a complete folder", got, advice))
    return True


def unpack(path: Path, archive: Archive) -> Path:
    """Unpack a tar archive next to itself, and remove the archive.

    The folder appears only once all files are written. Only the expected files are
    written, as new regular files: links, devices, other names and duplicate names are refused, and
    owners and modes are ignored.

    Raises
    ------
    ValueError
        The archive is damaged, lacks a file, or contains anything unexpected.
    OSError
        The folder cannot be written.
    """

    def refuse(got: str) -> ValueError:
        must = f"hold the {len(archive.files)} files of {archive.folder} and nothing else"
        who, advice = "polarstep data fetch", "Delete it, and fetch again."
        return ValueError(complaint(who, str(path), must, got, advice))

    unpacked = path.parent / archive.folder
    with TemporaryDirectory(prefix=f"{archive.folder}.part-", dir=path.parent) as aside:
        fresh = Path(aside) / archive.folder
        fresh.mkdir()
        names = archive.files | archive.may_hold
        expected = {f"{archive.folder}/{name}": name for name in names}
        try:
            with tarfile.open(path, "r:gz") as tar:
                for member in tar:
                    if member.isdir() and member.name == archive.folder:
                        continue
                    if not member.isreg() or member.name not in expected:
                        raise refuse(f"{member.name!r} in it (type {member.type.decode('latin1')})")
                    content = tar.extractfile(member)
                    assert content is not None  # since the member is a regular file
                    with (fresh / expected.pop(member.name)).open("xb") as file:
                        shutil.copyfileobj(content, file)
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise refuse(f"a damaged archive ({error})") from None
        if missing := sorted(archive.files.intersection(expected.values())):
            raise refuse(f"one without {', '.join(missing)}")
        fresh.rename(unpacked)
    path.unlink()
    return unpacked
