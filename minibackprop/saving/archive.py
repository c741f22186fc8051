"""The file format: arrays by name and one JSON text in an .npz archive, without pickle, written whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from minibackprop.errors import ConfigError, DTypeError, FileFormatError, describe
from minibackprop.validation import Array, shortened

if TYPE_CHECKING:
    from pathlib import Path

# zipfile and pathlib are imported where a file is written or read: who does neither need not wait for them, as long as
# for a tenth of NumPy.

StrPath: TypeAlias = str | os.PathLike[str]

Json: TypeAlias = Any


#: The name under which the archive holds its JSON text, as an array of the bytes of its UTF-8.
JSON = "minibackprop.json"

FORMAT = "minibackprop"

#: Goes up when files change so that earlier releases would misread them. Since 2, checkpoints hold the moving means of
#: `Adam` and `RMSProp`, and before sums; such a state has a mark, and without it `load_state_dict` converts.
VERSION = 2

#: The kinds of NumPy dtypes that a file may hold: numbers, times and strings of a fixed size.
_KINDS = "fiubcmMSU"

#: How many seconds after its last byte a file under a temporary name is taken for one that a killed process left.
_ABANDONED = 600


def require_path(subject: str, path: object) -> None:
    """Require the name of a file; whether it can be opened is for the system to say."""
    try:
        fits = isinstance(os.fspath(path), str) and b"\0" not in os.fsencode(path)  # type: ignore[call-overload,arg-type]
    except (TypeError, UnicodeError):
        fits = False
    if not fits:
        raise ConfigError(f"{subject}: path", "a path", shortened(path) if isinstance(path, str) else describe(path))


def write_archive(path: StrPath, arrays: Mapping[str, Array], info: Mapping[str, Any]) -> None:
    """
    Write `arrays` and `info` into one file, which is replaced as a whole: whatever happens, it is the old or the new.

    Parameters
    ----------
    path : str or path
        Used as it is given; no ending is added.
    arrays : mapping of str to array
        Also found by ``np.load(path)``, under their names.
    info : mapping
        What JSON can hold. ``json.loads(np.load(path)["minibackprop.json"].tobytes())`` reads it.

    Raises
    ------
    ConfigError, DTypeError
        If a name or an array cannot be stored. Nothing is written then.
    OSError
        If the file cannot be written. An earlier one is left as it was.
    """
    import zipfile

    text = json.dumps({"format": FORMAT, "version": VERSION, "arrays": len(arrays)} | dict(info), allow_nan=False)
    members = {JSON: np.frombuffer(text.encode(), np.uint8)}
    for name, array in arrays.items():
        kept = zipfile.ZipInfo(name.encode(errors="replace").decode()).filename
        if name in members or kept != name or len(name) > 10_000:
            raise ConfigError("save: the name of an array", "one that a file can hold", repr(name[:100]))
        members[name] = _storable(name, array)
    with replaced(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:  # No date: equal content, equal files.
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_archive(path: StrPath) -> tuple[dict[str, Array], dict[str, Any]]:
    """
    Read what `write_archive` wrote.

    Nothing in the file is run, unpickled or imported, and nothing is taken to be larger than the file is.

    Raises
    ------
    FileFormatError
        If the file is none of this format, or damaged, or of a newer version.
    OSError
        If there is no file, or it cannot be read.
    """
    from pathlib import Path

    with Path(path).open("rb") as file:
        try:
            arrays = dict(_members(file))
            content = json.loads(arrays.pop(JSON).tobytes(), parse_constant=_no_constant)
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            version = content.pop("version")
            if type(version) is not int:
                raise TypeError("no version")
            if content.pop("arrays") != len(arrays):  # The directory at the end of the file has no checksum.
                raise ValueError("arrays are missing, or left over")
        # Whatever NumPy, zipfile and json raise about a file that is wrong: there are a dozen kinds.
        except Exception as error:
            raise damaged(path, error) from error
    if version > VERSION:
        expected = f"of format version {VERSION}, or earlier"
        raise FileFormatError(os.fspath(path), expected, f"version {version}: a later minibackprop wrote it")
    return arrays, content


def require_kind(path: StrPath, info: Mapping[str, Json], kind: str, writer: str) -> None:
    """Require that an archive holds what it is read for."""
    if info.get("kind") != kind:
        found = f"a {info['kind']}" if info.get("kind") in ("model", "checkpoint") else "something else"
        raise FileFormatError(os.fspath(path), f"a {kind} that {writer} wrote", found)


def damaged(path: StrPath, error: Exception) -> FileFormatError:
    """Make the error for a file in which something is not as it should be."""
    reason = f"'{error.args[0]}' is missing" if type(error) is KeyError else str(error) or type(error).__name__
    return FileFormatError(os.fspath(path), "a file that minibackprop wrote, whole and unchanged", reason)


def encode(value: object, special: Callable[[Any], Json]) -> Json:
    """
    Turn plain values into what JSON holds; what is none of them is for `special`, or a TypeError.

    Lists stay, dicts get a mark, so that a dict of one entry can stand for what JSON lacks: a tuple, infinity.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if isinstance(value, float) and kind is float:
        return value if isfinite(value) else {"float": repr(value)}
    if isinstance(value, (list, tuple)) and kind in (list, tuple):
        entries = [encode(entry, special) for entry in value]
        return entries if kind is list else {"tuple": entries}
    if isinstance(value, dict) and kind is dict and all(type(key) is str for key in value):
        return {"dict": {key: encode(entry, special) for key, entry in value.items()}}
    return special(value)


def decode(json: Json, special: Callable[[str, Json], object]) -> Any:
    """Undo `encode`; a mark that it does not make is for `special`, with what it marks."""
    if isinstance(json, list):
        return [decode(entry, special) for entry in json]
    if not isinstance(json, dict):
        return json
    ((mark, content),) = json.items()
    match mark:
        case "float":
            return float(content)
        case "tuple":
            return tuple(decode(list(content), special))
        case "dict":
            return {key: decode(entry, special) for key, entry in content.items()}
    return special(mark, content)


def plain_only(value: object) -> Json:
    """Refuse what is not plain (a `special` for `encode`)."""
    raise TypeError(describe(value))


@contextmanager
def replaced(path: StrPath) -> Iterator[BinaryIO]:
    """
    Open a new file that takes the place of `path` when the block ends without an error, and vanishes otherwise.

    It keeps the permissions of the file that it replaces, and gets the usual ones where there was none. A link goes on
    pointing to where it did. What a killed process leaves behind is a hidden file that ends in ``.tmp``; this removes
    those of `path` that nobody has written to for ten minutes.
    """
    from pathlib import Path

    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, "not a file that could be replaced", path)
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected", path)
    # Names are cut short, as files have them of 255 bytes at most, and told apart by their checksums.
    beginning = f".{target.name[:40]}.{zlib.crc32(os.fsencode(target.name)):08x}"
    temporary = target.with_name(f"{beginning}{os.urandom(4).hex()}.tmp")
    try:
        file = temporary.open("xb")
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (no new file can be made in its directory)", path) from error
    try:
        with file:
            _remove_abandoned(target.parent, beginning, os.fstat(file.fileno()).st_mtime - _ABANDONED)
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:  # Ctrl-C too.
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(target.parent)


def require_writable(path: StrPath) -> None:
    """Raise the error that writing to `path` would, and leave it alone."""

    class Withdrawn(Exception):  # noqa: N818 - it is none
        pass

    with suppress(Withdrawn), replaced(path):
        raise Withdrawn


def _remove_abandoned(directory: Path, beginning: str, before: float) -> None:
    """Remove what writers of the same file left behind when they were killed."""
    pattern = re.compile(re.escape(beginning) + r"[0-9a-f]{8}\.tmp")
    with suppress(OSError), os.scandir(directory) as entries:  # A directory may be one that is not to be listed.
        for entry in entries:
            with suppress(OSError):  # Another process may be faster.
                if pattern.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < before:
                    (directory / entry.name).unlink()


def _sync_directory(directory: Path) -> None:
    """Make the new name survive a loss of power, where the system can; the file is whole in any case."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _storable(name: str, array: Array) -> Array:
    if not isinstance(array, (np.ndarray, np.generic)) or isinstance(array, np.ma.MaskedArray):
        raise DTypeError(f"save: {name}", "a NumPy array (a plain one, on the host)", describe(array))
    if array.dtype.kind not in _KINDS or not array.dtype.itemsize:
        raise DTypeError(f"save: {name}", "numbers, or strings of a fixed size", str(array.dtype))
    return np.asarray(array, order="C")


def _members(file: BinaryIO) -> Iterator[tuple[str, Array]]:
    """Read the arrays; that all bytes are there and unchanged is for zipfile to find out, by their checksums."""
    import zipfile

    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = {entry.filename for entry in entries}
        if len(names) < len(entries) or not all(name.endswith(".npy") for name in names):
            raise ValueError("members that are no arrays, or two of a name")
        # Uncompressed, each as long as it says, and together no longer than the file: nothing to unpack into more.
        if any(
            entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size for entry in entries
        ):
            raise ValueError("compressed members")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("members longer than the file")
        for entry in entries:
            yield entry.filename.removesuffix(".npy"), _array(archive.read(entry))


def _array(data: bytes) -> Array:
    """Make an array of the bytes of an .npy file, as long as its header says."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran_order, dtype = read_header(stream)
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of dtype {dtype}")
    if not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape} and of {dtype.itemsize} bytes each")
    array: Array = np.ndarray(shape, dtype, data, stream.tell(), order="F" if fortran_order else "C")
    if stream.tell() + array.nbytes != len(data):
        raise ValueError("an array of another length than its shape")
    return array.copy()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} in JSON")
