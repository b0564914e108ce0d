import os

from mitogen.utils import run_with_router


def describe(where):
    return '%s: process %d of %s' % (where, os.getpid(), os.uname().nodename)


def main(router):
    print(describe('here'))
    child = router.local()  # or router.ssh('web1'), or router.sudo(via=router.ssh('web1'))
    print(child.call(describe, 'there'))


if __name__ == '__main__':
    run_with_router(main)
