"""What a run left in a folder."""

import grp
import hashlib
import os
import pwd
import re
import stat
from pathlib import Path
from typing import Any

from tests.integration.parity.masks import FOLDERS, NAMES


def _owner(status: os.stat_result) -> str:
    try:
        return f'{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}'
    except KeyError:
        return f'{status.st_uid}:{status.st_gid}'


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Mode, owner and content of everything below a folder, by relative path without what masks.py excepts."""
    tree = {}
    for base, folders, files in os.walk(folder):
        if Path(base).name in FOLDERS:
            folders.clear()
            continue
        for name in (*folders, *files):
            path = Path(base, name)
            status = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                content = ''
            named = str(path.relative_to(folder))
            for pattern, _reason in NAMES:
                named = re.sub(pattern, '<masked>', named)
            tree[named] = {
                'mode': stat.filemode(status.st_mode),
                'owner': _owner(status),
                'content': content,
            }
    return tree
