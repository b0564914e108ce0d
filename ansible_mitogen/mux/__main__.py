"""``python -m ansible_mitogen.mux``: the multiplexer. It is started by :mod:`ansible_mitogen.mux.launcher`."""

import sys

from ansible_mitogen.mux.program import run

#: Options, and what they are converted by. Not argparse: importing it takes as long as all else here.
OPTIONS = {'--socket-dir': str, '--owner-pid': int, '--forks': int, '--log': str, '--listen-fd': int}
REQUIRED = ('--socket-dir', '--owner-pid', '--forks')


def main(argv: list[str]) -> None:
    """Run the multiplexer with the given arguments."""
    try:
        given = {option: OPTIONS[option](value) for option, value in zip(argv[::2], argv[1::2], strict=True)}
        socket_dir, owner_pid, forks = [given[option] for option in REQUIRED]
    except (KeyError, ValueError):
        sys.exit('usage: python -m ansible_mitogen.mux --socket-dir DIR --owner-pid PID --forks N [--log FILE]')
    run(socket_dir, owner_pid, forks, given.get('--log', ''), given.get('--listen-fd', -1))


if __name__ == '__main__':
    main(sys.argv[1:])
