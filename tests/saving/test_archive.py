"""The file format: what is written is read, a bad file is an error, and a crash leaves the old file or the new."""

import errno
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import time
import zipfile
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minibackprop import (
    SGD,
    Checkpoint,
    ConfigError,
    Dense,
    DTypeError,
    FileFormatError,
    MeanSquaredError,
    Trainer,
    load,
    load_weights,
    resume,
    save,
    save_checkpoint,
)
from minibackprop.saving.archive import JSON, VERSION, decode, encode, plain_only, read_archive, replaced, write_archive
from minibackprop.validation import Array

dtypes = st.one_of(
    hnp.floating_dtypes(endianness="?"),
    hnp.integer_dtypes(endianness="?"),
    hnp.complex_number_dtypes(),
    hnp.boolean_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.unicode_string_dtypes(max_len=3),
    hnp.byte_string_dtypes(max_len=3),
)
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one: dict[str, Array], other: dict[str, Array]) -> bool:
    """Tell whether two dicts of arrays are equal to the bit."""
    parts = [[(name, a.dtype, a.shape, a.tobytes()) for name, a in sorted(arrays.items())] for arrays in (one, other)]
    return parts[0] == parts[1]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


# --- What is written is read -----------------------------------------------------------------------------------------


@given(content=st.dictionaries(names, arrays, max_size=3), info=plain)
def test_what_is_written_is_read(directory: Path, content: dict[str, Array], info: Any) -> None:
    """Arrays of all shapes and dtypes come back to the bit, under their names; plain values too, types and all."""
    path = directory / "file"
    write_archive(path, content, {"plain": encode(info, plain_only)})
    found, read = read_archive(path)
    assert same(found, content)
    assert repr(decode(read["plain"], lambda *_: None)) == repr(info)  # repr tells 1 from True, and knows NaN.
    assert all(array.flags.writeable and array.flags.aligned and array.flags.owndata for array in found.values())


@given(content=st.dictionaries(names.filter(lambda name: not name.endswith(".npy")), arrays, max_size=3))
def test_numpy_reads_the_file(directory: Path, content: dict[str, Array]) -> None:
    """`np.load` finds the arrays by their names, and the JSON as the documentation says."""
    write_archive(directory / "file.npz", content, {"kind": "test"})
    with np.load(directory / "file.npz") as loaded:
        text = json.loads(loaded["minibackprop.json"].tobytes())
        assert same({name: loaded[name] for name in content}, content)
    assert text == {"format": "minibackprop", "version": VERSION, "arrays": len(content), "kind": "test"}


def test_equal_content_makes_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of the file depend on the content alone, not on the time, or the layout of the arrays in memory."""
    x = np.arange(6.0).reshape(2, 3)
    for hour, layout in enumerate((x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2])):
        monkeypatch.setattr(time, "time", lambda hour=hour: 1e9 + 3600 * hour)
        write_archive(tmp_path / str(hour), {"x": layout, "y": np.float32(2)}, {})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("name", ["model", "model.npz", "model.pt", "ümläut 1", "x" * 250, ".hidden"])
def test_the_path_is_used_as_it_is_given(tmp_path: Path, name: str) -> None:
    """No ending is added, and nothing else is left in the directory; a str does as well as a Path."""
    write_archive(str(tmp_path / name), {"x": np.ones(3)}, {})
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert read_archive(tmp_path / name)[0]["x"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 20_000, JSON])
def test_a_name_that_a_file_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    """Such an array is an error, and nothing is written."""
    with pytest.raises(ConfigError, match=r"save: the name of an array expects one that a file can hold, got"):
        write_archive(tmp_path / "file", {name: np.ones(3)}, {})
    assert not any(tmp_path.iterdir())


class Duck:
    """An array of another library."""

    shape, dtype = (2,), np.dtype(float)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([None]), "numbers, or strings of a fixed size, got object"),
        (np.zeros(2, [("a", float)]), "numbers, or strings of a fixed size, got .*'a'"),
        (np.ndarray(3, "U0"), "numbers, or strings of a fixed size, got <U0"),
        (np.array(["a"], np.dtypes.StringDType()), "numbers, or strings of a fixed size, got StringDType"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "a NumPy array .* got MaskedArray"),
        (Duck(), "a NumPy array .* got Duck"),
    ],
)
def test_an_array_that_a_file_cannot_hold_is_refused(tmp_path: Path, array: Any, message: str) -> None:
    """Objects, records, masks, and arrays of other libraries are errors, and nothing is written."""
    with pytest.raises(DTypeError, match=f"save: x expects {message}"):
        write_archive(tmp_path / "file", {"x": array}, {})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("value", [1j, b"x", {1: 2}, {1, 2}, np.ones(2), np.datetime64(1, "ns"), np.longdouble(1), len])
def test_what_is_not_plain_is_no_json(value: object) -> None:
    """Of what JSON lacks, only tuples and floats that are not finite are written; the rest is a TypeError."""
    with pytest.raises(TypeError):
        encode([value], plain_only)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.float32(0.5), 0.5), (np.int8(3), 3), (np.True_, True), (np.str_("a"), "a"), (np.float64(-inf), -inf)],
)
def test_numpy_scalars_become_those_of_python(value: object, expected: object) -> None:
    """A scalar of NumPy is written, and read as the number, bool or string of Python."""
    found = decode(encode(value, plain_only), lambda *_: None)
    assert found == expected
    assert type(found) is type(expected)


# --- Bad files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(directory: Path) -> Path:
    path = directory / "good.npz"
    write_archive(path, {"0.weight": np.ones((2, 2)), "0.bias": np.zeros(2, np.float32)}, {"kind": "test"})
    return path


@settings(max_examples=200)
@given(data=st.data())
def test_a_flipped_bit_is_found_or_harmless(good: Path, directory: Path, data: st.DataObject) -> None:
    """A file with one bit flipped is refused, or (a date, a permission) gives the same arrays and the same text."""
    content = bytearray(good.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    (directory / "bad").write_bytes(content)
    try:
        found, info = read_archive(directory / "bad")
    except FileFormatError:
        return
    expected, text = read_archive(good)
    assert same(found, expected)
    assert info == text


def test_a_truncated_file_is_refused(good: Path, tmp_path: Path) -> None:
    """However much is missing at its end, a file is refused."""
    content = good.read_bytes()
    for length in {*range(0, len(content), 7), *range(len(content) - 30, len(content))}:
        (tmp_path / "bad").write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            read_archive(tmp_path / "bad")


class Payload:
    """What would make a directory when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_of_text(text: str | bytes) -> bytes:
    return npy(np.frombuffer(text if isinstance(text, bytes) else text.encode(), np.uint8))


def claiming(shape: str) -> bytes:
    """Make an .npy file of two numbers that says it has another shape."""
    return npy(np.zeros(2)).replace(b"(2,), }" + b" " * (len(shape) - 4), shape.encode() + b", }")


def header(descr: str, shape: tuple[int, ...]) -> bytes:
    """Make the beginning of an .npy file, without any numbers."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def head(**changes: Any) -> bytes:
    return npy_of_text(json.dumps({"format": "minibackprop", "version": VERSION, "arrays": 1} | changes))


ARCHIVES: dict[str, dict[str, bytes]] = {
    "of another program": {"x.npy": npy(np.ones(2))},
    "empty": {},
    "of no arrays": {"readme.txt": b"hello"},
    "whose JSON is none": {f"{JSON}.npy": npy_of_text("{"), "x.npy": npy(np.ones(2))},
    "whose JSON is a list": {f"{JSON}.npy": npy_of_text("[]"), "x.npy": npy(np.ones(2))},
    "whose JSON is a number": {f"{JSON}.npy": npy_of_text("1"), "x.npy": npy(np.ones(2))},
    "whose JSON is no text": {f"{JSON}.npy": npy_of_text(b"\xff\xfe\xfd"), "x.npy": npy(np.ones(2))},
    "whose JSON has NaN": {f"{JSON}.npy": head(x=nan), "x.npy": npy(np.ones(2))},
    "whose JSON is deep": {f"{JSON}.npy": npy_of_text("[" * 100_000), "x.npy": npy(np.ones(2))},
    "of another format": {f"{JSON}.npy": head(format="other"), "x.npy": npy(np.ones(2))},
    "without a version": {f"{JSON}.npy": npy_of_text('{"format": "minibackprop"}'), "x.npy": npy(np.ones(2))},
    "whose version is a string": {f"{JSON}.npy": head(version="1"), "x.npy": npy(np.ones(2))},
    "whose version is a bool": {f"{JSON}.npy": head(version=True), "x.npy": npy(np.ones(2))},
    "with too few arrays": {f"{JSON}.npy": head()},
    "with too many arrays": {f"{JSON}.npy": head(), "x.npy": npy(np.ones(2)), "y.npy": npy(np.ones(2))},
    "with an array of objects": {f"{JSON}.npy": head(), "x.npy": npy(np.array([Payload()]))},
    "with a pickle": {f"{JSON}.npy": head(), "x.npy": pickle.dumps(Payload())},
    "with text": {f"{JSON}.npy": head(), "x.npy": b"hello"},
    "with records": {f"{JSON}.npy": head(), "x.npy": npy(np.zeros(2, [("a", float)]))},
    "with an empty array file": {f"{JSON}.npy": head(), "x.npy": b""},
    "with a cut array": {f"{JSON}.npy": head(), "x.npy": npy(np.ones(9))[:-1]},
    "with too long an array": {f"{JSON}.npy": head(), "x.npy": npy(np.ones(9)) + b"x"},
    "that claims terabytes": {f"{JSON}.npy": head(), "x.npy": claiming("(1000000000000,)")},
    "that claims more than there is": {f"{JSON}.npy": head(), "x.npy": claiming("(9999999999, 9999999999)")},
    "with an array of a negative shape": {f"{JSON}.npy": head(), "x.npy": claiming("(-2,)")},
    "with a negative shape and data": {f"{JSON}.npy": head(), "x.npy": header("<f8", (-1,)) + bytes(8)},
    "with strings of no bytes": {f"{JSON}.npy": head(), "x.npy": header("<U0", (3,))},
    "with bytes of no bytes": {f"{JSON}.npy": head(), "x.npy": header("|S0", (3 * 10**9,))},
    "with an array of a shape that is a call": {f"{JSON}.npy": head(), "x.npy": claiming("(exit(),)")},
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_foreign_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """A zip archive that is none of ours, or was tampered with, is one clear error, and runs nothing."""
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("bad.npz", "w") as archive:
        for name, content in ARCHIVES[case].items():
            archive.writestr(name, content)
    with pytest.raises(FileFormatError, match=r"^bad.npz must be a file that minibackprop wrote, whole and unchanged"):
        read_archive("bad.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


FILES = {
    "empty": b"",
    "text": b"once upon a time\n" * 100,
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(1000),
    "npy": npy(np.ones((3, 3))),
    "pickle": pickle.dumps(Payload()),
    "json": b'{"format": "minibackprop", "version": 1}',
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_foreign_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """What is no archive at all is the same clear error."""
    monkeypatch.chdir(tmp_path)
    Path("bad").write_bytes(content)
    with pytest.raises(
        FileFormatError, match=r"^bad must be a file that minibackprop wrote, whole and unchanged, got "
    ):
        read_archive("bad")
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """Compressed members are refused, however small the file: nothing is larger in memory than it is in the file."""
    with zipfile.ZipFile(tmp_path / "bad", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{JSON}.npy", head())
        archive.writestr("x.npy", npy(np.zeros(10**6)))
    with pytest.raises(FileFormatError, match="compressed members"):
        read_archive(tmp_path / "bad")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Entries that lie within one another are together longer than the file, and refused before they are read."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("y.npy", npy(np.zeros(1000)))
        (entry,) = archive.infolist()
    with zipfile.ZipFile(tmp_path / "bad", "w") as archive:
        archive.writestr(f"{JSON}.npy", head())
        entry.header_offset = archive.fp.tell() + len("x.npy") + 30
        archive.writestr("x.npy", inner.getvalue())
        archive.filelist.append(entry)
    with zipfile.ZipFile(tmp_path / "bad") as archive:
        assert len(archive.read("y.npy")) > 8000
    with pytest.raises(FileFormatError, match="members longer than the file"):
        read_archive(tmp_path / "bad")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_a_name_are_refused(tmp_path: Path) -> None:
    """Which of two arrays of one name is meant, nobody knows."""
    with zipfile.ZipFile(tmp_path / "bad", "w") as archive:
        archive.writestr(f"{JSON}.npy", head())
        for value in (1, 2):
            archive.writestr("x.npy", npy(np.full(2, value)))
    with pytest.raises(FileFormatError, match="members that are no arrays, or two of a name"):
        read_archive(tmp_path / "bad")


def test_arrays_in_columns_are_read(tmp_path: Path) -> None:
    """An array that another program stored column by column is read as what it is."""
    with zipfile.ZipFile(tmp_path / "file", "w") as archive:
        archive.writestr(f"{JSON}.npy", head())
        archive.writestr("x.npy", npy(np.asfortranarray(np.arange(6).reshape(2, 3))))
    assert read_archive(tmp_path / "file")[0]["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A file of a later format says so, rather than being misread."""
    with zipfile.ZipFile(tmp_path / "new", "w") as archive:
        archive.writestr(f"{JSON}.npy", head(version=VERSION + 1))
        archive.writestr("x.npy", npy(np.ones(2)))
    with pytest.raises(
        FileFormatError, match=rf"of format version {VERSION}, or earlier, got version {VERSION + 1}: a"
    ):
        read_archive(tmp_path / "new")


def test_a_missing_file_is_the_usual_error(tmp_path: Path) -> None:
    """No file, a directory and no path at all are Python's own errors."""
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        read_archive(tmp_path)
    with pytest.raises(TypeError):
        read_archive(0)  # type: ignore[arg-type]


# --- Writing ---------------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions_are_those_of_the_umask_or_of_the_old_file(tmp_path: Path) -> None:
    """A new file has the permissions that any new file has; one that is replaced keeps its own."""
    before = os.umask(0o027)
    try:
        write_archive(tmp_path / "new", {}, {})
        assert mode(tmp_path / "new") == 0o640
        for kept in (0o600, 0o666, 0o755):
            (tmp_path / "old").touch()
            (tmp_path / "old").chmod(kept)
            write_archive(tmp_path / "old", {}, {})
            assert mode(tmp_path / "old") == kept
    finally:
        os.umask(before)


def test_a_link_goes_on_pointing_to_the_file(tmp_path: Path) -> None:
    """Through a symbolic link, the file that it points to is replaced, or made."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    for version in (1, 2):
        write_archive(tmp_path / "link", {"x": np.full(3, version)}, {})
        assert read_archive(tmp_path / "there" / "file")[0]["x"][0] == version
    assert (tmp_path / "link").is_symlink()


def test_a_path_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A missing directory, a directory, a file as a directory, and what is no plain file: the error names the path."""
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for path, error in (
        (tmp_path / "missing" / "model", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (tmp_path / "file" / "model", NotADirectoryError),
        (tmp_path / "pipe", OSError),
    ):
        with pytest.raises(error) as caught:
            write_archive(path, {}, {})
        assert str(caught.value.filename) == str(path)
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


def test_a_write_protected_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be written to is not replaced either, though its directory would allow it."""
    path = tmp_path / "model"
    path.write_text("old")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # The superuser may write anywhere.
    with pytest.raises(PermissionError, match="write-protected") as caught:
        write_archive(path, {}, {})
    assert caught.value.filename == path
    assert path.read_text() == "old"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("place", ["write", "sync", "replace"])
def test_an_error_on_the_way_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, place: str
) -> None:
    """Whatever goes wrong, and wherever: the old file is there, and no other."""

    def failing(*_: object, **__: object) -> None:
        raise error

    path = tmp_path / "model"
    path.write_text("old")
    with pytest.raises(type(error)), monkeypatch.context() as patch:  # noqa: PT012 - the block is what fails
        patch.setattr(
            *{"write": (np.lib.format, "write_array"), "sync": (os, "fsync"), "replace": (Path, "replace")}[place],
            failing,
        )
        write_archive(path, {"x": np.ones(3)}, {})
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def test_the_disk_has_the_content_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synchronized, whole, while it still has another name, and its directory once it has its own."""
    synchronized, sizes = [], []

    def fsync(descriptor: int) -> None:
        synchronized.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "model").exists()))
        sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    with replaced(tmp_path / "model") as file:
        file.write(b"few enough to stay in Python's buffer")
    assert synchronized == [(False, False), (True, True)]
    assert sizes[0] == (tmp_path / "model").stat().st_size


def test_what_killed_writers_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write to the same file removes what they left, ten minutes on; nothing else, whatever its name."""

    def abandoned(name: str, age: int) -> str:
        """Leave behind what a writer of the file makes; say what it is called."""
        before = set(tmp_path.iterdir())
        with pytest.raises(ZeroDivisionError), monkeypatch.context() as patch, replaced(tmp_path / name):  # noqa: PT012
            patch.setattr(Path, "unlink", lambda _: None)
            raise ZeroDivisionError
        (left,) = set(tmp_path.iterdir()) - before
        os.utime(left, (0, left.stat().st_mtime - age))
        return left.name

    long = "x" * 60
    old, fresh = abandoned("model", 700), abandoned("model", 500)
    others = [abandoned(name, 700) for name in ("model.npz", "odel", long + "1")]
    for name in (".model.backup.tmp", old + "x", "x" + old, old.replace(".tmp", "-tmp")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
        others.append(name)
    (tmp_path / old[:-5]).mkdir()
    folder = tmp_path / f"{old[:-12]}00000000.tmp"
    folder.mkdir()
    os.utime(folder, (0, 0))
    for name in ("model", long + "2"):
        write_archive(tmp_path / name, {}, {})
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {fresh, *others, "model", long + "2", old[:-5], folder.name}


KILLED = """
import os, random, signal, sys, time
import numpy as np
from minibackprop.saving.archive import read_archive, write_archive

path, rounds, files = sys.argv[1], 0, set()
content = [{"x": np.full(50_000, value), "y": np.full(7, value)} for value in (0.0, 1.0)]
write_archive(path, content[0], {"number": 0})
while rounds < 40 or len(files) < 2:
    child = os.fork()
    if not child:
        while True:
            for value in (1, 0):
                write_archive(path, content[value], {"number": value})
    time.sleep(random.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    arrays, info = read_archive(path)
    assert all((array == info["number"]).all() for array in arrays.values())
    files.add(os.stat(path).st_ino)
    rounds += 1
"""


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    """A process that does nothing but write is killed again and again: the file is always one that it wrote whole."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    left = {path.name for path in tmp_path.iterdir()} - {"model"}
    assert all(name.startswith(".model.") and name.endswith(".tmp") for name in left)


@pytest.mark.parametrize("path", [None, 3, b"model.npz", ["model.npz"], "a\0b", "\ud800", Path])
def test_what_is_no_path_is_refused(path: Any) -> None:
    """By each function that takes one, before anything is read or written."""
    trainer = Trainer(Dense(3, 2), MeanSquaredError(), SGD(0.1))
    for call in (
        lambda: save(trainer.model, path),
        lambda: load(path),
        lambda: load_weights(path),
        lambda: save_checkpoint(trainer, path),
        lambda: resume(path, trainer),
        lambda: Checkpoint(path),
    ):
        with pytest.raises(ConfigError, match=": path expects a path, got "):
            call()
