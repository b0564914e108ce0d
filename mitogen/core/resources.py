"""Data of packages whose modules come from memory, for importlib.resources. Imported when first asked for."""

import io
import zipfile
from typing import Any, Iterator, List, Optional, Union

from mitogen.core.loaders import ResourceGetter


class Resource:
    """A file or folder of a package: importlib's Traversable and ResourceReader in one.

    :param get: where content comes from.
    :param package: full name of the package.
    :param path: path below the package; None for its folder.
    """

    def __init__(self, get: ResourceGetter, package: str, path: Optional[str] = None) -> None:
        self._get, self._package, self._path = get, package, path
        self.name = (path or package.replace('.', '/')).rpartition('/')[2]

    def _content(self) -> Union[bytes, List[str], None]:
        return self._get(self._package, self._path)

    def files(self) -> 'Resource':
        return self

    def is_dir(self) -> bool:
        return isinstance(self._content(), list)

    def is_file(self) -> bool:
        return isinstance(self._content(), bytes)

    def contents(self) -> List[str]:
        names = self._content()
        return names if isinstance(names, list) else []

    def iterdir(self) -> Iterator['Resource']:
        return (self / name for name in self.contents())

    def joinpath(self, *parts: str) -> 'Resource':
        return Resource(self._get, self._package, '/'.join(([self._path] if self._path else []) + list(parts)))

    def __truediv__(self, part: str) -> 'Resource':
        return self.joinpath(part)

    def read_bytes(self) -> bytes:
        content = self._content()
        if not isinstance(content, bytes):
            raise FileNotFoundError('%s has no file %s' % (self._package, self._path))
        return content

    def read_text(self, encoding: Optional[str] = None, errors: Optional[str] = None) -> str:
        return self.open('r', encoding=encoding or 'utf-8', errors=errors).read()

    def open(self, mode: str = 'r', **kwargs: Any) -> Any:
        stream = io.BytesIO(self.read_bytes())
        return stream if 'b' in mode else io.TextIOWrapper(stream, **kwargs)

    def open_resource(self, name: str) -> Any:
        return (self / name).open('rb')

    def resource_path(self, name: str) -> str:
        raise FileNotFoundError(name)  # tells importlib to make a temporary file

    def is_resource(self, name: str) -> bool:
        return (self / name).is_file()


def zip_package(get: ResourceGetter, package: str, above: str) -> zipfile.ZipFile:
    """Return a package's folder as a zip file in memory which stands for the path `above`."""
    class Archive(zipfile.ZipFile):
        def __fspath__(self) -> str:
            return above

    def add(folder: Resource, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                add(item, prefix + item.name + '/')
            else:
                archive.writestr(prefix + item.name, item.read_bytes())
    archive = Archive(io.BytesIO(), 'w')
    root = Resource(get, package)
    add(root, root.name + '/')
    return archive
