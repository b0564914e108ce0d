"""A function of one's own, called in other processes, on its own source."""

import os
import sys

from mitogen.core import CallError
from mitogen.utils import run_with_router


def describe(folder, limit=3):
    """Return what a folder holds. It runs elsewhere, and nothing of it has to be there."""
    names = sorted(os.listdir(folder))
    return {'pid': os.getpid(), 'count': len(names), 'first': tuple(names[:limit])}


def main(router, folder):
    child = router.local()
    found = child.call(describe, folder, limit=1)
    print(found['count'], found['first'], found['pid'] != os.getpid())
    try:
        child.call(describe, '/no/such/folder')
    except CallError as exc:
        print(exc.type_name, '-', exc.message)


if __name__ == '__main__':
    run_with_router(main, sys.argv[1])
