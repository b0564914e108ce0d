"""Another Python process on the same host."""

import os
from typing import List, Optional

import mitogen
from mitogen import master
from mitogen.core.router import Context
from mitogen.parent.bootstrap import direct_command


class Stream(master.Stream):
    """A stream to another process of the same account.

    :param options: those of :class:`mitogen.master.Stream`.
    """

    def start_command(self) -> List[str]:
        """Return the argv that starts the interpreter; without a shell if only one comes into question."""
        if len(self.pythons) == 1 and self.pythons[0].startswith('/'):
            return direct_command(self.pythons[0])
        return super().start_command()

    def connect(self, via: Optional[Context] = None) -> Context:
        """Start the context; arguments and errors as of :meth:`mitogen.master.Stream.connect`."""
        root = os.path.dirname(os.path.dirname(os.path.abspath(mitogen.__file__ or '')))
        if via is None and os.path.isfile(os.path.join(root, 'mitogen', '__init__.py')):
            # It runs the same files, which are compiled already.
            self.spec = self.spec._replace(config={'root': root})
        return super().connect(via)
