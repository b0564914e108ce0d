"""The router's methods that start contexts, one for each way to get to where they are to be."""

import sys
from importlib import import_module
from typing import Any, Optional

from mitogen.core.router import Context


class Transports:
    """Start contexts.

    Each method takes the options of its transport's stream, those of
    :class:`mitogen.master.Stream`, and `via`: the context whose child the new
    one becomes, by default this process. Each raises
    :class:`mitogen.master.HopError` when the context cannot be started, and
    :class:`mitogen.core.ChannelError` when `via` is gone.
    """

    def connect(self, transport: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context by the transport of that name, which has a module ``mitogen.<name>``."""
        stream = import_module('mitogen.' + transport).Stream(self, **options)
        context: Context = stream.connect(via)
        return context

    def local(self, via: Optional[Context] = None, **options: Any) -> Context:
        """Start another Python process; see :class:`mitogen.local.Stream`. By default of this same Python."""
        if via is None:
            options.setdefault('python', sys.executable)
        return self.connect('local', via, **options)

    def fork(self, via: Optional[Context] = None, **options: Any) -> Context:
        """Fork a context, or this process; see :class:`mitogen.fork.Stream`."""
        return self.connect('fork', via, **options)

    def ssh(self, hostname: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context on another host; see :class:`mitogen.ssh.Stream`."""
        return self.connect('ssh', via, hostname=hostname, **options)

    def sudo(self, username: str = 'root', via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context as another user by ``sudo``; see :class:`mitogen.sudo.Stream`."""
        return self.connect('sudo', via, username=username, **options)

    def su(self, username: str = 'root', via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context as another user by ``su``; see :class:`mitogen.su.Stream`."""
        return self.connect('su', via, username=username, **options)

    def doas(self, username: str = 'root', via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context as another user by ``doas``; see :class:`mitogen.doas.Stream`."""
        return self.connect('doas', via, username=username, **options)

    def docker(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in a Docker container; see :class:`mitogen.docker.Stream`."""
        return self.connect('docker', via, container=container, **options)

    def podman(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in a Podman container; see :class:`mitogen.podman.Stream`."""
        return self.connect('podman', via, container=container, **options)

    def buildah(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in a Buildah working container; see :class:`mitogen.buildah.Stream`."""
        return self.connect('buildah', via, container=container, **options)

    def kubectl(self, pod: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in a Kubernetes pod; see :class:`mitogen.kubectl.Stream`."""
        return self.connect('kubectl', via, pod=pod, **options)

    def lxc(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in an LXC container; see :class:`mitogen.lxc.Stream`."""
        return self.connect('lxc', via, container=container, **options)

    def lxd(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in an LXD container; see :class:`mitogen.lxd.Stream`."""
        return self.connect('lxd', via, container=container, **options)

    def incus(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in an Incus container; see :class:`mitogen.incus.Stream`."""
        return self.connect('incus', via, container=container, **options)

    def jail(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in a FreeBSD jail; see :class:`mitogen.jail.Stream`."""
        return self.connect('jail', via, container=container, **options)

    def chroot(self, path: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context below another root folder; see :class:`mitogen.chroot.Stream`."""
        return self.connect('chroot', via, path=path, **options)

    def machinectl(self, container: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in a machine of systemd; see :class:`mitogen.machinectl.Stream`."""
        return self.connect('machinectl', via, container=container, **options)

    def setns(self, container: str, kind: str, via: Optional[Context] = None, **options: Any) -> Context:
        """Start a context in the namespaces of a container; see :class:`mitogen.setns.Stream`."""
        return self.connect('setns', via, container=container, kind=kind, **options)
