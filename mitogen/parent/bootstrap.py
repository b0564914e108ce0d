"""How a fresh Python becomes a context: the command line, the bundle, the greeting.

A command of the far side's ``sh`` finds the first usable interpreter and
starts it on a small *first stage*. That prints the greeting, a line which
names the interpreter, and reads from stdin blocks, each a length of eight
digits and that many bytes: the *bundle*, the same for all, compressed, with
the sources of :mod:`mitogen.core`; the configuration of this one context;
and, if it is to keep a zygote, a bundle of :mod:`mitogen.zygote`. What
follows on either side is frames.
"""

import json
import re
import threading
import zlib
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from mitogen.core import external

#: Starts the line that the first stage prints.
GREETING = b'MITOGEN-1 '

#: Starts the line that the shell prints when it finds no interpreter.
NO_PYTHON = b'MITOGEN-0 '

#: The line that the shell prints when it has a terminal for its standard input, which would garble what is sent.
TERMINAL = b'MITOGEN-2'

#: In the command and in nothing that it prints.
_START = b'exec(sys.argv[1])'

#: What is kept of the output before the greeting: enough for any error, too little to fill memory.
MAX_NOISE = 65536

#: What is left out of the bundles, since only jobs of a zygote that run modules need it: it comes with their members.
LATE_MEMBERS = ('mitogen/core/resources.py', 'mitogen/zygote/interpreter.py', 'mitogen/zygote/pages.py',
                'mitogen/zygote/preload.py')

# Written so that Python 2.7 parses it, for its one-line error; without single quotes, dollars, backticks and
# newlines, so that any nesting of shells passes it on. a[1] is this text, a[2] the interpreter, a[3] what was looked
# for, then come the candidates that are left.
_FIRST_STAGE = (
    'import os,sys;a=sys.argv;'
    'o=sys.version_info<(3,6);'
    'o and[os.execvp(q,[q,"-c","import sys;exec(sys.argv[1])",a[1],q,a[3]]+a[i+5:])for i,q in enumerate(a[4:])'
    'if not os.system("command -v \\""+q+"\\" >/dev/null 2>&1")];'
    'o and(os.write(1,("MITOGEN-0 no Python 3.6 or later found, looked for %s; %s is %s\\n"'
    '%(a[3],a[2],sys.version.split()[0])).encode()),os._exit(127));'
    'import io,json,zlib;'
    'os.write(1,("MITOGEN-1 "+json.dumps([sys.version_info[:3],sys.executable,a[2],os.getpid(),os.getuid()])'
    '+"\\n").encode());'
    'f=io.BufferedReader(io.FileIO(0,"rb",False),1);'
    'r=lambda:f.read(int(f.read(8)));'
    'b=r();d=json.loads(zlib.decompress(b).decode());d["config"]=json.loads(r().decode());'
    'd["blobs"]=[b]+[r()for _ in range(d["config"].get("zygote_id",0)and 1)];'
    'exec(d["boot"],d)'
)

# Runs in the first stage's place: makes the bundle importable and hands over.
_BOOT = """
import sys, types
name = 'mitogen.core.loaders'
loaders = sys.modules[name] = types.ModuleType(name)
exec(compile(files['mitogen/core/loaders.py'], 'mitogen/core/loaders.py', 'exec'), loaders.__dict__)
finder = loaders.MemberFinder('mitogen')
finder.select({path: source.encode() for path, source in files.items()})
sys.meta_path.insert(0, finder)
from mitogen.core.external import main
main(config, *blobs)
"""

# The same where the parent's own files can be read: this way they need not be compiled. Annotations want only that
# there is something by these names; the true module is imported when somebody else asks for it. (In Python 3.9
# importlib.util does: hence it comes first.)
_DISK_BOOT = """
import importlib.util, sys
from importlib.machinery import PathFinder
class Types(type(sys)):
    NamedTuple = staticmethod(lambda name, fields: namedtuple(name, [field for field, kind in fields]))
    def __getattr__(self, name):
        return self
    def __getitem__(self, kinds):
        return self
class Finder:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, [config['root']]) if name == 'mitogen' else None
from collections import namedtuple
sys.meta_path.insert(0, Finder())
old, sys.dont_write_bytecode = sys.dont_write_bytecode, True
real = sys.modules.get('typing')
sys.modules['typing'] = Types('typing')
from mitogen.core.external import main
del sys.modules['typing']
if real:
    sys.modules['typing'] = real
sys.dont_write_bytecode = old
main(config)
"""


def _in_double_quotes(text: str) -> str:
    return re.sub(r'([\\"$`])', r'\\\1', text)


def bootstrap_command(pythons: Sequence[str]) -> str:
    """Return the ``sh`` text that starts a context; it holds no single quote and no newline.

    :param pythons: interpreters to try, in order: names, paths, or paths that begin with ``~/``.
    :raises ValueError: there is none, or one of them holds a single quote or a newline.
    """
    if not pythons or any("'" in python or '\n' in python for python in pythons):
        raise ValueError('cannot start any of the interpreters %r' % (list(pythons),))
    words = []
    for python in pythons:
        home, rest = ('$HOME', python[1:]) if python.startswith('~/') else ('', python)
        words.append('"%s%s"' % (home, _in_double_quotes(rest)))
    looked_for = _in_double_quotes(', '.join(pythons))
    return ('[ -t 0 ]&&echo MITOGEN-2&&exit 126;'
            'c="%s";l="%s";set -- %s;while [ $# -gt 0 ];do p=$1;shift;command -v "$p" >/dev/null 2>&1&&'
            'exec "$p" -c "import sys;exec(sys.argv[1])" "$c" "$p" "$l" "$@";done;'
            'echo "MITOGEN-0 no Python found, looked for $l";exit 127'
            % (_in_double_quotes(_FIRST_STAGE), looked_for, ' '.join(words)))


def direct_command(python: str) -> List[str]:
    """Return the argv that starts a context on one interpreter, without a shell."""
    return [python, '-c', 'import sys;exec(sys.argv[1])', _FIRST_STAGE, python, python]


def disk_bundle() -> bytes:
    """Return the bundle for a child that imports this package from the folder named `root` in its configuration."""
    return zlib.compress(json.dumps({'files': {}, 'boot': _DISK_BOOT}).encode())


def build_bundle(sources: Dict[str, str]) -> bytes:
    """Return the bundle.

    :param sources: source text by path, like ``mitogen/core/frames.py``.
    """
    return zlib.compress(json.dumps({'files': sources, 'boot': _BOOT}, sort_keys=True).encode(), 9)


def startup_bytes(config: Dict[str, Any]) -> bytes:
    """Return what is written to the first stage of a context with that configuration."""
    on_disk = 'root' in config
    blocks = [disk_bundle() if on_disk else own_bundle('mitogen.core'), json.dumps(config).encode()]
    if config.get('zygote_id'):
        blocks.append(b'' if on_disk else own_bundle('mitogen.zygote'))
    return b''.join(b'%08d%s' % (len(block), block) for block in blocks)


Greeting = NamedTuple('Greeting', [
    ('version', List[int]), ('executable', str), ('chosen', str), ('pid', int), ('uid', int)])
Greeting.__doc__ = """What the first stage says of its interpreter."""


class GreetingParser:
    """Find the greeting in what a starting child prints; keep the noise around it.

    After :meth:`feed` has returned a greeting, `rest` holds the bytes behind it.
    """

    def __init__(self) -> None:
        self._buffer = b''
        self.noise = b''
        self.rest = b''
        #: The shell's sentence that no interpreter was found.
        self.no_python = ''
        #: Whether the shell has a terminal for its standard input.
        self.terminal = False

    def feed(self, data: bytes) -> Optional[Greeting]:
        """Add output of the child; return the greeting once it is there."""
        self._buffer += data
        while b'\n' in self._buffer:
            line, self._buffer = self._buffer.split(b'\n', 1)
            # A shell's start-up files may print without a newline: the line need not begin with it.
            at = line.find(GREETING + b'[')
            if at >= 0:
                greeting = self._parse(line[at + len(GREETING):])
                if greeting is not None:
                    self.add_noise(line[:at])
                    self.rest, self._buffer = self._buffer, b''
                    return greeting
            # Not where the command itself is printed, by a shell that traces or a program that refuses it.
            if _START not in line:
                at = line.find(NO_PYTHON)
                if at >= 0:
                    self.no_python = line[at + len(NO_PYTHON):].decode('utf-8', 'replace').strip()
                self.terminal = self.terminal or TERMINAL in line
            self.add_noise(line + b'\n')
        if len(self._buffer) > MAX_NOISE:
            self.add_noise(self._buffer[:-1024])
            self._buffer = self._buffer[-1024:]
        return None

    def add_noise(self, data: bytes) -> None:
        """Keep output that is no greeting, its end if there is too much of it."""
        self.noise = (self.noise + data)[-MAX_NOISE:]

    def all_output(self) -> bytes:
        """All that was read, as far as it is kept."""
        return self.noise + self._buffer

    @staticmethod
    def _parse(text: bytes) -> Optional[Greeting]:
        try:
            version, executable, chosen, pid, uid = json.loads(text.decode())
            return Greeting([int(part) for part in version], str(executable), str(chosen), int(pid), int(uid))
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None


_bundle_lock = threading.Lock()


def own_bundle(package: str) -> bytes:
    """Return the bundle of `package` that this process was started from, or else makes."""
    # Many children may be about to start: they all wait for the work that is done for the first one.
    with _bundle_lock:
        if not external.BUNDLES.get(package):
            from mitogen.master import make_bundle
            external.BUNDLES[package] = make_bundle(package)
        return external.BUNDLES[package]
