"""Byte-code that a target's Python keeps of modules in zip files.

Stock Ansible sends a zip for every task, whose modules the target's Python compiles each time: half of what a task
costs there. Where it keeps what it compiled, by content, comparing with stock takes a quarter less time. All else is
as without it.
"""

import subprocess
from pathlib import Path

#: Follows what is in the sitecustomize.py of a Debian system already.
CUSTOMIZATION = '''

def keep_code(folder):
    import _imp
    import marshal
    import os
    import sys
    import zipimport

    def compile_once(path, source, compiled=zipimport._compile_source):
        kept = folder + '/' + _imp.source_hash(sys.hexversion, source).hex()
        try:
            with open(kept, 'rb') as file:
                code = marshal.load(file)
        except (OSError, ValueError, EOFError):
            code = compiled(path, source)
            # Nobody but root may say what root runs.
            if os.geteuid() == 0:
                part = kept + '.%d' % os.getpid()
                with open(part, 'wb') as file:
                    marshal.dump(code, file)
                os.replace(part, kept)
        else:
            _imp._fix_co_filename(code, path)
        return code

    zipimport._compile_source = compile_once


keep_code({folder!r})
'''


def customize(folder: Path) -> dict[str, Path]:
    """Return folders to be laid over the machine's for those whose Python is to keep code: `{over: folder}`.

    :param folder: where to make them. Empty where the machine's Python takes its customization from elsewhere.
    """
    asked = subprocess.run(
        ['/usr/bin/python3', '-c', 'import os, sitecustomize; print(os.path.realpath(sitecustomize.__file__))'],
        capture_output=True, text=True)
    original = Path(asked.stdout.strip())
    if asked.returncode or not original.is_relative_to('/etc') or len(list(original.parent.iterdir())) > 1:
        return {}
    code, settings = folder / 'kept-code', folder / 'kept-code-settings'
    for made in (code, settings):
        made.mkdir(mode=0o755)
    (settings / original.name).write_text(original.read_text() + CUSTOMIZATION.format(folder=str(code)))
    return {str(original.parent): settings}
