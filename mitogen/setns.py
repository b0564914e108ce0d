"""Contexts in the namespaces of a container, whose own tools are needed only to find it."""

from typing import Any, List, Optional

from mitogen import containers

#: How the host's process ID of a container's first process is found: the program, and shell text for what it
#: is to do, in which ``$0`` is the program and ``$1`` the container.
LEADERS = {
    'docker': ('docker', '"$0" inspect --format "{{.State.Pid}}" "$1"'),
    'podman': ('podman', '"$0" inspect --format "{{.State.Pid}}" "$1"'),
    'lxc': ('lxc-info', '"$0" --name "$1" --pid --no-humanize'),
    'lxd': ('lxc', r'"$0" query "/1.0/instances/$1/state" | sed -n "s/.*\"pid\": *\([0-9]*\).*/\1/p"'),
    'incus': ('incus', r'"$0" query "/1.0/instances/$1/state" | sed -n "s/.*\"pid\": *\([0-9]*\).*/\1/p"'),
    'machinectl': ('machinectl', '"$0" show --property=Leader --value "$1"'),
    'pid': (':', 'echo "$1"'),
}

_ENTER = ('p=$(%s) && [ "${p:-0}" -gt 0 ] || { echo "no running container $1" >&2; exit 1; }; shift; '
          'exec nsenter --target "$p" --mount --uts --ipc --net --pid --root --wd -- "$@"')


class Stream(containers.Stream):
    """A stream to a process that enters the namespaces of a container by ``nsenter``, which takes root.

    :param container: its name, or with the kind ``pid`` the host's ID of any process in it.
    :param kind: ``docker``, ``podman``, ``lxc``, ``lxd``, ``incus``, ``machinectl`` or ``pid``.
    :param program: the program that knows the container's first process.
    :param options: those of :class:`mitogen.master.Stream`.
    """

    def __init__(self, router: Any, container: str, kind: str, program: Optional[str] = None, **options: Any) -> None:
        if kind not in LEADERS:
            raise ValueError('the kind of container is one of %s' % ', '.join(sorted(LEADERS)))
        self._find = LEADERS[kind][1]
        self.kind = 'setns %s' % kind
        super().__init__(router, str(container), program=program or LEADERS[kind][0], **options)

    def wrap(self, command: List[str]) -> List[str]:
        """Return the argv of a shell that finds the container and enters it."""
        return ['sh', '-c', _ENTER % self._find, self.program, self.container] + command
