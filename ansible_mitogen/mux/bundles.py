"""Modules as they travel: the members of AnsiballZ zips, numbered, each sent to a host once.

A member is known by its path and content. Numbers are the run's own: one for each distinct
member, so that modules which share their `module_utils` share them on the wire as well.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

#: Bytes of sources in one frame; they fit also if they do not compress.
BATCH_SIZE = 896 * 1024

#: Half the time of zlib's usual 6, which is on the first task's way, for a twentieth more bytes.
COMPRESSION = 4

#: Sets of members whose compressed form is kept: hosts that are opened together lack the same ones.
KEPT_BLOBS = 16

#: Imported into a zygote before it is known what a module will want; every new-style module wants it.
FIRST_PRELOAD = ('ansible.module_utils.basic',)


class BundleError(Exception):
    """A zip cannot be sent as members."""


class Member(NamedTuple):
    """A file of a zip."""

    path: str
    source: bytes


class Bundle:
    """A module with all that it may import.

    :param numbers: its members, ascending.
    :param names: their module names.
    """

    def __init__(self, numbers: Sequence[int], names: frozenset[str]) -> None:
        self.numbers = tuple(numbers)
        self.ranges = to_ranges(self.numbers)
        self._names = names
        self._preload = {name for name in FIRST_PRELOAD if name in names}

    @property
    def preload(self) -> list[str]:
        """What a zygote may import before it forks: what the module has been seen to import."""
        return sorted(self._preload)

    def learn(self, imported: Iterable[str]) -> None:
        """Remember what a run of the module imported.

        Only shared code: the module itself and what is beside it runs in the fork alone.
        """
        self._preload.update(name for name in imported if name in self._names and '.module_utils.' in name)

    def united(self, other: 'Bundle', paths: Mapping[int, str]) -> 'Bundle | None':
        """Return a bundle with the members of both; None if they differ in the content of a file.

        :param paths: of all members, by number.
        """
        numbers = sorted({*self.numbers, *other.numbers})
        if len({paths[number] for number in numbers}) < len(numbers):
            return None
        both = Bundle(numbers, self._names | other._names)
        both._preload = self._preload | other._preload
        return both


def to_ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Return ascending numbers as inclusive ranges ``[first, last]``."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def module_name(path: str) -> str:
    """Return the module's name for a member's path; '' if it is no module."""
    if not path.endswith('.py'):
        return ''
    name = path[:-3].replace('/', '.')
    return name[:-len('.__init__')] if name.endswith('.__init__') else name


class BundleStore:
    """The members of all zips seen, and who has been sent which.

    :param common: members that every bundle has besides those of its zip.
    """

    def __init__(self, common: Iterable[Member]) -> None:
        self._members: list[Member] = []
        self._numbers: dict[Member, int] = {}
        self._bundles: dict[str, Bundle] = {}
        self._pairs: dict[tuple[tuple[int, ...], tuple[int, ...]], Bundle | None] = {}
        self._paths: dict[int, str] = {}
        self._pushed: dict[int, set[int]] = {}
        self._blobs: OrderedDict[tuple[int, ...], bytes] = OrderedDict()
        self._common = [self._number(member) for member in common]
        self._common_names = frozenset(module_name(self._members[number].path) for number in self._common)

    def get(self, zip_id: str) -> Bundle | None:
        """Return the bundle of a zip that was added."""
        return self._bundles.get(zip_id)

    def add(self, zip_id: str, zip_base64: bytes) -> Bundle:
        """Take a zip to pieces.

        :raises BundleError: it is none, is not the one it is said to be, or holds a file that is too large.
        """
        import binascii
        import hashlib
        import io
        import zipfile
        if hashlib.sha256(zip_base64).hexdigest() != zip_id:
            raise BundleError('the zip is not the one that was announced')
        try:
            with zipfile.ZipFile(io.BytesIO(binascii.a2b_base64(zip_base64))) as archive:
                # A path may occur twice: like stock, the last one counts.
                contents = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
        except (ValueError, OSError, RuntimeError, NotImplementedError, EOFError, zlib.error,
                zipfile.BadZipFile) as exc:
            raise BundleError('the zip cannot be read: %s' % exc) from exc
        for path, source in contents.items():
            if len(source) > BATCH_SIZE:
                raise BundleError('%s is too large to be sent in one message' % path)
        # Sorted, so that files which come together get neighbouring numbers.
        numbers = [self._number(Member(path, contents[path])) for path in sorted(contents)]
        names = frozenset(filter(None, map(module_name, contents)))
        bundle = self._bundles[zip_id] = Bundle(sorted({*self._common, *numbers}), names | self._common_names)
        return bundle

    def pair(self, usual: Bundle, other: Bundle) -> Bundle | None:
        """Return what two modules need of which one will run; None if they cannot be together in one world."""
        key = (usual.numbers, other.numbers)
        if key not in self._pairs:
            self._pairs[key] = usual.united(other, self._paths)
        both = self._pairs[key]
        if both is not None:
            both.learn((*usual.preload, *other.preload))
        return both

    def _number(self, member: Member) -> int:
        number = self._numbers.get(member)
        if number is None:
            number = self._numbers[member] = len(self._members)
            self._members.append(member)
            self._paths[number] = member.path
        return number

    def pushes(self, context_id: int, bundle: Bundle) -> list[dict[str, Any]]:
        """Return the PUSH_CODE payloads that give a context what it lacks of `bundle`, and count them as sent."""
        pushed = self._pushed.setdefault(context_id, set())
        lacking = [number for number in bundle.numbers if number not in pushed]
        pushed.update(lacking)
        return [{'members': [[number, self._members[number].path, len(self._members[number].source)]
                             for number in batch], 'blob': self._blob(batch)}
                for batch in self._batches(lacking)]

    def compress_first(self, bundle: Bundle) -> None:
        """Compress what a context lacks that has been sent nothing, if that is so of all: they are being opened."""
        if not self._pushed:
            for batch in self._batches(bundle.numbers):
                self._blob(batch)

    def _batches(self, numbers: Iterable[int]) -> list[tuple[int, ...]]:
        batches: list[list[int]] = []
        size = 0
        for number in numbers:
            more = len(self._members[number].source)
            if not batches or size + more > BATCH_SIZE:
                batches.append([])
                size = 0
            batches[-1].append(number)
            size += more
        return [tuple(batch) for batch in batches]

    def _blob(self, batch: tuple[int, ...]) -> bytes:
        blob = self._blobs.get(batch)
        if blob is None:
            joined = b''.join(self._members[number].source for number in batch)
            blob = self._blobs[batch] = zlib.compress(joined, COMPRESSION)
            if len(self._blobs) > KEPT_BLOBS:
                self._blobs.popitem(last=False)
        self._blobs.move_to_end(batch)
        return blob

    def answers(self, context_id: int, numbers: Iterable[Any]) -> list[dict[str, Any]]:
        """Return the answers to a context that has lost members and asks for them again.

        It gets none but those it has been sent.
        """
        pushed = self._pushed.get(context_id, set())
        batches = self._batches(number for number in dict.fromkeys(numbers) if number in pushed)
        parts = [{'members': [[number, *self._members[number]] for number in batch], 'last': False}
                 for batch in batches] or [{'members': [], 'last': False}]
        parts[-1]['last'] = True
        return parts

    def forget(self, context_id: int) -> None:
        """A context is gone."""
        self._pushed.pop(context_id, None)
