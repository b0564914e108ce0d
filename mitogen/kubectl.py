"""Contexts in Kubernetes pods."""

from typing import Any, List, Optional

from mitogen import containers


class Stream(containers.Stream):
    """A stream over ``kubectl exec``.

    :param pod: the pod, also as ``deployment/name``.
    :param container: the container in the pod; by default its first.
    :param namespace: the pod's namespace.
    :param options: those of :class:`mitogen.containers.Stream`, but for the account, which kubectl cannot choose.
    """

    default_program = 'kubectl'

    def __init__(self, router: Any, pod: str, container: Optional[str] = None, namespace: Optional[str] = None,
                 **options: Any) -> None:
        self._where = []
        for flag, value in (('--namespace', namespace), ('--container', container)):
            if value is not None:
                self._where += [flag, value]
        super().__init__(router, pod, **options)

    def arguments(self) -> List[str]:
        """Return the arguments of ``kubectl exec``."""
        return ['exec', '--stdin', '--quiet'] + self._where + self.args + [self.container, '--']
