"""Fields that differ between two runs of the same engine, and why. Nothing else may differ.

A mask with a pattern takes what matches out of the text; the rest of the field is compared.
A mask without one leaves only the type of the value to be compared.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

from ansible.release import __version__ as ansible_release

CORE = tuple(int(part) for part in ansible_release.split('.')[:2])


class Mask(NamedTuple):
    """One kind of difference that is no fault.

    :param task: name of the task, with wildcards.
    :param field: path of the field in the result, dotted, with wildcards.
    :param pattern: regular expression of the part of a text that differs.
    :param replacement: what stands for it; empty where one side may lack it.
    :param optional: the whole field may be missing on either side.
    """

    task: str
    field: str
    reason: str
    pattern: str = ''
    replacement: str = '<masked>'
    optional: bool = False

    def covers(self, task: str, field: str) -> bool:
        """Whether the mask is about that field of that task."""
        return fnmatchcase(task, self.task) and fnmatchcase(field, self.field)


#: Stock's session ends with the task, ours does not. The line is the client's, and not of the command.
CLOSING = 'the ssh client says that a session with a terminal has ended'

#: Stock asks for the password once more, on the task's own terminal.
PROMPT = 'sudo ends its prompt with a new line'

#: ansible-core 2.18, and no other, refuses a result that is no text, and shows it.
REFUSED = (
    Mask('command with bytes that are no text', 'module_stdout', 'time of day', r'"(start|end|delta)": "[^"]*"'),
) if CORE == (2, 18) else ()

BACKUP = r'\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~$'

MASKS = (
    Mask('*', '*start', 'time of day'),
    Mask('*', '*end', 'time of day'),
    Mask('*', '*delta', 'time that the command took'),
    *REFUSED,
    Mask('*', '*ansible_job_id', 'drawn by chance'),
    Mask('*', '*results_file', 'name of a job: drawn by chance', r'(?<=/)j[\d.]+'),
    Mask('clean up of an asynchronous job', 'erased', 'name of a job: drawn by chance', r'(?<=/)j[\d.]+'),
    Mask('clean up of an asynchronous job', '*.jid', 'name of a job: drawn by chance'),
    Mask('*', '*src', 'temporary name on the target', r'ansible-(tmp|moduletmp)-[\d.]+-\w+(-\d+)?(/tmp\w+)?'),
    Mask(
        'unarchive from the controller',
        'extract_results.cmd.*',
        'temporary name on the target',
        r'ansible-tmp-[\d.]+-\d+-\d+',
    ),
    Mask('*', '*after_header', 'temporary name on the controller', r'ansible-local-\w+/tmp\w+'),
    Mask('*', '*._original_basename', 'temporary name on the controller', r'^(\.|tmp)\w{8}$'),
    Mask(
        'ping that crashes',
        '*',
        'the traceback, which up to ansible-core 2.18 has what started the module, and where that was put',
        r'(?s)(?<=call last\):\n).*?(?=  File "\S+/ansible/modules/ping\.py")'
        r'|(?<=  File ")\S+?/(?=ansible/modules/ping\.py)',
    ),
    Mask('*', '*backup*', 'process and time in the name of a backup', BACKUP),
    Mask('*temp*file', '*path', 'drawn by chance', r'parity\.\w{8}\.txt'),
    Mask('*', '*ctime', 'time of day'),
    Mask('*', '*inode', 'number of a new file'),
    Mask('find', 'files.*.?time', 'time of day'),
    Mask('stat', 'stat.version', 'number of a new file'),
    Mask('touch', 'diff.before.?time', 'time of day'),
    Mask('async_status', 'attempts', 'how often it was asked depends on the time it took'),
    Mask('wait_for_connection', 'elapsed', 'time that it took'),
    Mask('raw*', 'stderr', CLOSING, r'^Shared connection to \S+ closed\.\r\n$', ''),
    Mask('raw*', 'stderr_lines', CLOSING),
    Mask('script*', 'stderr', CLOSING, r'^Shared connection to \S+ closed\.\r\n$', ''),
    Mask('script*', 'stderr_lines', CLOSING),
    Mask('raw*', 'stdout', PROMPT, r'^\r\n', ''),
    Mask('raw*', 'stdout_lines', PROMPT),
    Mask('script*', 'stdout', PROMPT, r'^\r\n', ''),
    Mask('script*', 'stdout_lines', PROMPT),
    Mask('uri*', 'date', 'time of day'),
    Mask('Gathering Facts', 'ansible_facts.ansible_date_time.*', 'time of day'),
    Mask('Gathering Facts', 'ansible_facts.ansible_env.SSH_*', 'port of the client', r'(?<=127\.0\.0\.1 )\d+'),
    Mask('Gathering Facts', 'ansible_facts.ansible_env.SUDO_COMMAND', 'has a word in it that is drawn by chance'),
    Mask('Gathering Facts', 'ansible_facts.ansible_interfaces.*', 'set without an order'),
    Mask('Gathering Facts', 'ansible_facts.ansible_loadavg.*', 'what else the machine does'),
    Mask('Gathering Facts', 'ansible_facts.ansible_mem*', 'what else the machine does'),
    Mask('Gathering Facts', 'ansible_facts.ansible_mounts', 'what else the machine does: containers come and go'),
    Mask('Gathering Facts', 'ansible_facts.ansible_uptime_seconds', 'time of day'),
    Mask('Gathering Facts', 'ansible_facts.ansible_virtualization_tech_*', 'set without an order'),
)

#: Up to ansible-core 2.18 a traceback has what started the module, and where that was put.
TRACEBACKS = (
    Mask(
        'module that raises',
        '*',
        'what started the module',
        r'(?s)(?<=call last\):\n).*?(?=  File "\S+/ansible/modules/behaves\.py")'
        r'|(?<=  File ")\S+?/(?=ansible/modules/behaves\.py)|Shared connection to \S+ closed\.\r\n$',
        '',
    ),
    Mask(
        'polled job that raises',
        '*',
        'temporary names on the target',
        r'ansible-tmp-[\d.]+-\d+-\d+|payload_\w{8}|\bj\d+\.\d+',
    ),
) if CORE < (2, 19) else ()

#: For the tasks of styles.yml, besides those above.
STYLE_MASKS = (
    Mask('*', '*.jid', 'name of a job: drawn by chance'),
    Mask('* over a time limit', 'timedout.frame', 'address and line of what the signal has interrupted'),
    *TRACEBACKS,
    *(Mask('*', field, CLOSING, r'^Shared connection to \S+ closed\.\r\n$', '') for field in (
        'module_stderr', 'stderr')),
    Mask('the command of the job*', 'stdout*', 'stock does not always catch a command that has just been started'),
    Mask('*job that t*k* too long', 'child_pid', 'number of a process'),
    Mask('*binary*', 'warnings.*', 'temporary name on the target', r'ansible-tmp-[\d.]+-\d+-\d+'),
    Mask('polled job that prints no json', 'cmd', 'temporary name on the target', r'ansible-tmp-[\d.]+-\d+-\d+'),
    Mask('polled job that prints no json', 'msg', 'temporary name on the target', r'payload_\w{8}'),
    *(Mask('*', field, PROMPT, r'^\r\n', '') for field in ('module_stdout', 'stdout')),
)

#: For the tasks of become.yml, besides the first ones.
BECOME_MASKS = (
    Mask('*', 'warnings', 'stock puts modules into files for other accounts, and warns of that', optional=True),
    Mask('*', 'module_stderr', 'stock starts several ssh clients at once, each of which would be the master',
         r'^ControlSocket \S+ already exists, disabling multiplexing\r\n', ''),
    Mask('raw', 'stderr', CLOSING, r'^(Shared c|C)onnection to \S+ closed\.\r\n$', ''),
    Mask('raw', 'stdout', 'programs end their prompts with a new line, and may echo what is typed',
         r'^(open sesame)?[\r\n]+', ''),
)

#: For the tasks of respawn.yml, besides the first ones.
RESPAWN_MASKS: tuple[Mask, ...] = (
    Mask(
        'deb822_repository*',
        'exception',
        'where the module was put, and that ours is found again when a traceback shows its lines',
        r'(?<=  File ")\S+?/(?=ansible/modules/deb822_repository\.py)|    from debian.*\n    \^+\n',
        '',
    ),
    Mask('package_facts', 'ansible_facts.packages',
         'the first of the managers in a set without an order: the next task names the one it wants'),
) if CORE < (2, 18) else ()

#: For the tasks of features.yml, besides the first ones.
FEATURE_MASKS: tuple[Mask, ...] = ()

#: Parts of file names that differ in what a run leaves behind.
NAMES = ((BACKUP, 'process and time in the name of a backup'),)

#: Folders whose content is not compared.
FOLDERS = {
    '.git': 'its index and logs have times in them',
    'venv': 'compiled files have the times of their sources in them',
}
