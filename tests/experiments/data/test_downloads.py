"""Downloads from a server that may be slow, wrong or gone, and archives that are not trusted."""

import gzip
import hashlib
import http.server
import io
import os
import shutil
import socket
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_images import FILES, write_cifar10
from polarstep.experiments.data import downloads
from polarstep.experiments.data.downloads import Archive, Download, fetch, unpack
from polarstep.experiments.data.images import images

CONTENT = b"-1 1:1\n+1 2:1\n" * 500


@pytest.fixture
def toy(monkeypatch):
    """A data set of one small file, known by its checksum."""
    files = {"toy.txt": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"}
    monkeypatch.setitem(downloads.DOWNLOADS, "toy", Download("toys", "http://127.0.0.1:9/", files))


@pytest.fixture
def server():
    """A local server: `answers` holds what it sends, `asked` the requests that it received."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            announced, body, status = self.server.answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(body)
            if status == SILENT:
                self.server.over.wait(60)
            self.close_connection = True

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.answers, server.over = [], [], threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join(10)


SILENT = 203  # the status of answers after which nothing more comes
GOOD = (len(CONTENT), CONTENT, 200)
ALTERED = (len(CONTENT), CONTENT.replace(b"+1", b"-1", 1), 200)
CUT = (len(CONTENT), CONTENT[:700], 200)
SHORT = (700, CONTENT[:700], 200)
MISSING = (0, b"", 404)
STALLED = (len(CONTENT), CONTENT[:700], SILENT)


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


# --------------------------------------------------------------------------- single files


def test_a_download_is_kept_under_its_name(tmp_path, toy, server):
    server.answers = [GOOD]
    (path,) = fetch("toy", tmp_path, base_url=server.url)
    assert path == tmp_path / "toys" / "toy.txt"
    assert path.read_bytes() == CONTENT
    assert server.asked == ["/toy.txt"]


def test_a_data_set_comes_from_its_own_server(tmp_path, toy, server, monkeypatch):
    here = replace(downloads.DOWNLOADS["toy"], base_url=server.url + "data/")
    monkeypatch.setitem(downloads.DOWNLOADS, "toy", here)
    server.answers = [GOOD]
    fetch("toy", tmp_path)
    assert server.asked == ["/data/toy.txt"]


def test_existing_files_are_not_downloaded_again(tmp_path, toy, server):
    server.answers = [GOOD]
    first = fetch("toy", tmp_path, base_url=server.url)
    assert fetch("toy", tmp_path, base_url=server.url) == first
    assert len(server.asked) == 1


def test_a_damaged_file_is_replaced(tmp_path, toy, server):
    server.answers = [GOOD]
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "toy.txt").write_bytes(CONTENT[:100])
    (path,) = fetch("toy", tmp_path, base_url=server.url)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("answer", [ALTERED, SHORT, CUT, MISSING])
def test_a_bad_download_is_not_kept(tmp_path, toy, server, answer):
    server.answers = [answer]
    with pytest.raises((ValueError, OSError)):
        fetch("toy", tmp_path, base_url=server.url, retries=0)
    assert files_below(tmp_path) == []


def test_a_server_that_falls_silent_is_an_os_error(tmp_path, toy, server):
    server.answers = [STALLED]
    with pytest.raises(OSError, match="timed out"):
        fetch("toy", tmp_path, base_url=server.url, retries=0, timeout=0.2)
    assert files_below(tmp_path) == []


def test_the_error_names_a_wrong_checksum(tmp_path, toy, server):
    server.answers = [ALTERED]
    with pytest.raises(ValueError, match=r"(?i)hash.*toy\.txt"):
        fetch("toy", tmp_path, base_url=server.url, retries=0)


def test_a_download_that_breaks_off_is_tried_again(tmp_path, toy, server):
    server.answers = [CUT, GOOD]
    (path,) = fetch("toy", tmp_path, base_url=server.url, retries=1)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_refused_connection_is_an_os_error(tmp_path, toy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            fetch("toy", tmp_path, base_url=url, retries=0)
    assert files_below(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path, toy, server):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        fetch("toy", tmp_path / "file" / "below", base_url=server.url)
    assert server.asked == []


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"'a9a', 'cifar10'.*got 'a9b'.*Did you mean 'a9a'"):
        fetch("a9b", tmp_path)


# --------------------------------------------------------------------------- archives

NAME, TAR = "cifar-10-batches-py", "cifar-10-python.tar.gz"
WHOLE = downloads.DOWNLOADS["cifar10"].archive


def tar_of(folder, *extra, without=(), kind=tarfile.PAX_FORMAT):
    """Return the bytes of an archive of a folder, with extra (member, content) pairs at its end."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=kind) as tar:
        tar.add(folder, NAME, filter=lambda m: None if m.name.endswith(tuple(without)) else m)
        for member, content in extra:
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def member(name, kind=tarfile.REGTYPE, target="", content=b"text"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


@pytest.fixture
def made(tmp_path):
    """A small CIFAR-10 as published: the seven files and the read-me."""
    folder = write_cifar10(tmp_path / "made" / NAME)
    (folder / "readme.html").write_text("<html>")
    return folder


@pytest.fixture
def cifar10(made, server, monkeypatch):
    """Let the server have the small CIFAR-10, and return its answer."""
    content = tar_of(made)
    files = {TAR: f"md5:{hashlib.md5(content).hexdigest()}"}
    here = replace(downloads.DOWNLOADS["cifar10"], base_url=server.url, files=files)
    monkeypatch.setitem(downloads.DOWNLOADS, "cifar10", here)
    answer = (len(content), content, 200)
    server.answers = [answer]
    return answer


def test_the_published_archives_are_asked_for_with_a_checksum():
    for download in downloads.DOWNLOADS.values():
        assert download.base_url.startswith("https://")
        assert download.base_url.endswith("/")
        assert len(download.files) == 1 or download.archive is None
        for digest in download.files.values():
            algorithm, _, value = digest.partition(":")
            assert len(bytes.fromhex(value)) == hashlib.new(algorithm).digest_size
    assert WHOLE.files == set(FILES)
    assert len(WHOLE.files | WHOLE.may_hold) == 8


def test_cifar10_is_fetched_and_read(tmp_path, cifar10, made, server):
    (folder,) = fetch("cifar10", tmp_path / "data")
    assert folder == tmp_path / "data" / "cifar10" / NAME
    assert list(folder.parent.iterdir()) == [folder]  # neither the archive nor a part of it
    for path in made.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    np.testing.assert_array_equal(images(tmp_path / "data").X, images(tmp_path / "made").X)
    images.cache_clear()
    assert server.asked == [f"/{TAR}"]


def test_cifar10_that_is_there_is_not_downloaded_again(tmp_path, cifar10, server):
    assert fetch("cifar10", tmp_path) == fetch("cifar10", tmp_path)
    assert len(server.asked) == 1


def test_an_archive_that_is_there_is_not_downloaded_again(tmp_path, cifar10, server):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / TAR).write_bytes(cifar10[1])
    fetch("cifar10", tmp_path)
    assert server.asked == []
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == [NAME]


@pytest.mark.parametrize("bad", ["altered", "cut", "short", "missing"])
def test_a_bad_archive_is_not_kept(tmp_path, cifar10, server, bad):
    size, content, _ = cifar10
    altered = content[:-1] + bytes([content[-1] ^ 1])
    server.answers = {
        "altered": [(size, altered, 200)],
        "cut": [(size, content[:-9], 200)],
        "short": [(size - 9, content[:-9], 200)],
        "missing": [MISSING],
    }[bad]
    with pytest.raises((ValueError, OSError)):
        fetch("cifar10", tmp_path / "data", retries=0)
    assert files_below(tmp_path / "data") == []


def test_an_archive_that_breaks_off_is_tried_again(tmp_path, cifar10, server):
    server.answers.insert(0, (cifar10[0], cifar10[1][:5000], 200))
    (folder,) = fetch("cifar10", tmp_path, retries=1)
    assert folder.is_dir()
    assert len(server.asked) == 2


@pytest.mark.parametrize("missing", [["data_batch_3"], FILES, ["batches.meta", "test_batch"]])
def test_an_incomplete_folder_is_refused(tmp_path, cifar10, server, missing):
    folder = write_cifar10(tmp_path / "cifar10" / NAME)
    for file in missing:
        (folder / file).unlink()
    with pytest.raises(ValueError, match=r"must be a complete folder") as caught:
        fetch("cifar10", tmp_path)
    assert f"`{folder}`" in str(caught.value)
    assert f"got one without {', '.join(sorted(missing))}. Delete it" in str(caught.value)
    assert server.asked == []


def test_a_folder_without_the_read_me_is_complete(tmp_path, cifar10, server):
    folder = write_cifar10(tmp_path / "cifar10" / NAME)
    assert fetch("cifar10", tmp_path) == [folder]
    assert server.asked == []


@pytest.mark.parametrize("after", [0, 1, 5])
def test_interrupted_unpacking_leaves_nothing_half_made(
    tmp_path, cifar10, server, monkeypatch, after
):
    copied, copy = [], shutil.copyfileobj

    def interrupted(source, target):
        assert Path(target.name).parents[2] == tmp_path / "data" / "cifar10"  # the same disk
        if len(copied) == after:
            target.write(b"half a file")
            raise KeyboardInterrupt
        copied.append(copy(source, target))

    monkeypatch.setattr(downloads.shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("cifar10", tmp_path / "data")
    assert files_below(tmp_path / "data") == [tmp_path / "data" / "cifar10" / TAR]
    monkeypatch.undo()
    unpack(tmp_path / "data" / "cifar10" / TAR, WHOLE)
    assert images(tmp_path / "data").name == "cifar10"
    assert len(server.asked) == 1
    images.cache_clear()


def test_a_full_disk_is_an_os_error_and_leaves_nothing_half_made(tmp_path, cifar10, monkeypatch):
    def full(source, target):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(downloads.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        fetch("cifar10", tmp_path / "data")
    assert files_below(tmp_path / "data") == [tmp_path / "data" / "cifar10" / TAR]


def refused(tmp_path, content, archive=WHOLE):
    """Return the error about an archive, and check that no other file is left."""
    place = tmp_path / "place" / "cifar10"
    place.mkdir(parents=True)
    (place / TAR).write_bytes(content)
    with pytest.raises(ValueError, match="and nothing else; got") as caught:
        unpack(place / TAR, archive)
    assert files_below(tmp_path / "place") == [place / TAR]
    assert list(place.iterdir()) == [place / TAR]
    assert f"`{place / TAR}` must hold the 7 files of {NAME} and nothing else" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../outside", tarfile.REGTYPE, ""),
        ("/outside", tarfile.REGTYPE, ""),
        (f"{NAME}/../../outside", tarfile.REGTYPE, ""),
        (f"{NAME}/../{NAME}/test_batch", tarfile.REGTYPE, ""),
        (f"{NAME}/extra", tarfile.REGTYPE, ""),
        (f"{NAME}/below/test_batch", tarfile.REGTYPE, ""),
        ("test_batch", tarfile.REGTYPE, ""),
        (f"{NAME}/test_batch", tarfile.REGTYPE, ""),  # a second time
        (f"{NAME}/readme.html", tarfile.SYMTYPE, "/etc/passwd"),
        (f"{NAME}/readme.html", tarfile.SYMTYPE, "test_batch"),
        (f"{NAME}/readme.html", tarfile.LNKTYPE, f"{NAME}/test_batch"),
        (f"{NAME}/readme.html", tarfile.FIFOTYPE, ""),
        (f"{NAME}/readme.html", tarfile.CHRTYPE, ""),
        (f"{NAME}/readme.html", tarfile.DIRTYPE, ""),
        (NAME, tarfile.SYMTYPE, "/"),
        ("other", tarfile.DIRTYPE, ""),
        ("..", tarfile.DIRTYPE, ""),
    ],
)
def test_members_that_are_not_expected_are_refused(tmp_path, made, name, kind, target):
    without = [] if kind == tarfile.REGTYPE else ["readme.html"]
    content = tar_of(made, member(name, kind, target), without=without)
    assert f"got {name!r} in it" in refused(tmp_path, content)
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "place" / "outside").exists()


def test_a_link_in_place_of_a_batch_is_refused(tmp_path, made):
    (made / "data_batch_1").unlink()
    (made / "data_batch_1").symlink_to("test_batch")
    assert f"'{NAME}/data_batch_1' in it (type 2)" in refused(tmp_path, tar_of(made))


@pytest.mark.parametrize("missing", [["data_batch_1"], ["batches.meta", "test_batch"]])
def test_an_archive_that_lacks_files_is_refused(tmp_path, made, missing):
    assert f"got one without {', '.join(missing)}" in refused(
        tmp_path, tar_of(made, without=missing)
    )


@pytest.mark.parametrize(
    "damage", ["no archive", "empty", "cut", "altered", "cut in", "altered in"]
)
def test_a_damaged_archive_is_refused(tmp_path, made, damage):
    """The archive is damaged after compression or, for "in", before it."""
    whole = tar_of(made)
    tar = gzip.decompress(whole)
    header = tar.index(f"{NAME}/data_batch_4".encode())
    content = {
        "no archive": b"<html>not found</html>",
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "altered": whole[:10] + b"\xff" * 20 + whole[30:],
        "cut in": gzip.compress(tar[:200_000]),
        "altered in": gzip.compress(tar[:header] + b"?" * 19 + tar[header + 19 :]),
    }[damage]
    message = refused(tmp_path, content)
    assert "a damaged archive" in message or "one without data_batch_4" in message


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_new_regular_files_whatever_the_archive_claims(tmp_path, made, kind):
    (made / "test_batch").chmod(0o6777)
    (tmp_path / TAR).write_bytes(tar_of(made, kind=kind))
    folder = unpack(tmp_path / TAR, WHOLE)
    assert {path.stat().st_mode & 0o7111 for path in folder.iterdir()} == {0}
    assert {path.name for path in folder.iterdir()} == WHOLE.files | WHOLE.may_hold


def test_other_archives_have_their_own_files(tmp_path):
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "a").write_text("a")
    with tarfile.open(tmp_path / "toys.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "toys" / "a", "box/a")
    folder = unpack(tmp_path / "toys.tar.gz", Archive("box", frozenset({"a"})))
    assert folder == tmp_path / "box"
    assert (folder / "a").read_text() == "a"
