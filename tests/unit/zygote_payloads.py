"""AnsiballZ programs, built by the ansible-core that is installed beside the tests, and run in either way."""

import base64
import io
import json
import os
import subprocess
import tempfile
import zipfile

from ansible.executor import module_common
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar
from ansible.utils.collection_loader import AnsibleCollectionConfig

from ansible_mitogen import ansiballz
from tests.runtime.zygote_harness import RUNNER

ENTRY = 'ansible_mitogen.target.runner:run_module'
PRELOAD = ['ansible.module_utils.basic', 'ansible.module_utils._internal._ansiballz._loader']


def build(name, arguments, path=None, rlimit_nofile=0):
    """Return the program of a module.

    :param path: where its source is; None for one of ansible-core's own.
    :param rlimit_nofile: what the user wants the limit of open files to be; 0 for no wish.
    """
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader([])
    built = module_common.modify_module(
        module_name=name, module_path=str(path) if path else module_loader.find_plugin(name),
        module_args=arguments, templar=Templar(loader=DataLoader()),
        task_vars={'ansible_python_interpreter': '/usr/bin/python3',
                   'ansible_python_module_rlimit_nofile': rlimit_nofile}, module_compression='ZIP_DEFLATED')
    # A tuple before ansible-core 2.19.
    return built[0] if isinstance(built, tuple) else built.b_module_data


def run_stock(python, program):
    """Run a program as pipelining does; return its (rc, stdout, stderr)."""
    shell = '%s && sleep 0' % python
    # A module that ends its process leaves its zip behind.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(['/bin/sh', '-c', shell], input=program, capture_output=True, timeout=60,
                              env={**os.environ, 'TMPDIR': folder})
    return done.returncode, done.stdout, done.stderr


def members_of(program):
    """Return the members of a program's zip, and the runner's."""
    payload = ansiballz.parse_payload(program)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(payload.zip_base64))) as archive:
        return {**{name: archive.read(name) for name in archive.namelist()}, **RUNNER}


def start(zygote, program, preload=PRELOAD, mends=(), **fields):
    """Start the program's module in a zygote; return the number of the job.

    :param mends: what of ansible-core is mended for it.
    """
    payload = ansiballz.parse_payload(program)
    args = {name: getattr(payload, name) for name in ('module_fqn', 'params', 'profile', 'style', 'rlimit_nofile')}
    args.update(date_time=list(payload.date_time), extensions={}, mends=list(mends))
    return zygote.start_function(members_of(program), ENTRY, args, preload, **fields)


def run(zygote, program, **fields):
    """Run the program's module in a zygote; return its (rc, stdout, stderr)."""
    result = zygote.wait(start(zygote, program, **fields))
    return result['rc'], result['stdout'], result['stderr']


def result_of(output):
    """Return the result that a module printed."""
    return json.loads(output[1].decode()[output[1].decode().index('{'):])
