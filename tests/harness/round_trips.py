"""How often a task waits for its host: the budget of each action. A test checks it, the documentation shows it."""

from typing import NamedTuple


class Budget(NamedTuple):
    """The round trips of a task, in a context that is open.

    :param what: action, and what of it.
    :param task: YAML: the task.
    :param round_trips: how many it takes, at most and at least.
    :param setup: YAML: a task before it, which does not count; '' for none.
    """

    what: str
    task: str
    round_trips: int
    setup: str = ''


#: `{{ work }}` is an empty folder on the host. Facts have been gathered.
BUDGETS = (
    Budget('``add_host``', 'add_host: {name: other}', 0),
    Budget('``apt``', 'apt: {name: sudo, state: present}', 1),
    Budget('``assemble``, content sent', 'assemble: {src: parts, dest: "{{ work }}/whole", remote_src: false}', 2),
    Budget('``assert``', 'assert: {that: true}', 0),
    Budget('``blockinfile``', 'blockinfile: {path: "{{ work }}/block", block: a, create: true}', 1),
    Budget('``command``', 'command: id', 1),
    Budget('``copy``, content sent', 'copy: {src: small, dest: "{{ work }}/copied"}', 2),
    Budget('``copy``, unchanged', 'copy: {src: small, dest: "{{ work }}/copied2", mode: "0600"}', 1,
           'copy: {src: small, dest: "{{ work }}/copied2"}'),
    Budget('``cron``', 'cron: {name: none, state: absent, user: root}', 1),
    Budget('``debug``', 'debug: {msg: hello}', 0),
    Budget('``fetch``, new', 'fetch: {src: /etc/hostname, dest: "{{ playbook_dir }}/got/"}', 2),
    Budget('``fetch``, unchanged', 'fetch: {src: /etc/hostname, dest: "{{ playbook_dir }}/got2/"}', 1,
           'fetch: {src: /etc/hostname, dest: "{{ playbook_dir }}/got2/"}'),
    Budget('``file``', 'file: {path: "{{ work }}/folder", state: directory}', 1),
    Budget('``find``', 'find: {paths: "{{ work }}"}', 1),
    Budget('``getent``', 'getent: {database: passwd, key: root}', 1),
    Budget('``git``', 'git: {repo: "{{ work }}/none", dest: "{{ work }}/clone"}', 1),
    Budget('``group``', 'group: {name: root, state: present}', 1),
    Budget('``hostname``', 'hostname: {name: "{{ ansible_facts.nodename }}"}', 1),
    Budget('``lineinfile``', 'lineinfile: {path: "{{ work }}/line", line: a, create: true}', 1),
    Budget('``package``', 'package: {name: sudo, state: present}', 1),
    Budget('``ping``', 'ping:', 1),
    Budget('``raw``', 'raw: id', 1),
    Budget('``replace``', 'replace: {path: "{{ work }}/replaced", regexp: a, replace: b}', 1,
           'copy: {content: a, dest: "{{ work }}/replaced"}'),
    Budget('``script``', 'script: small.sh', 1),
    Budget('``service``', 'service: {name: none, state: started}', 1),
    Budget('``set_fact``', 'set_fact: {a: b}', 0),
    Budget('``setup``', 'setup: {gather_subset: "!all"}', 1),
    Budget('``shell``', 'shell: id', 1),
    Budget('``slurp``', 'slurp: {src: /etc/hostname}', 1),
    Budget('``stat``', 'stat: {path: "{{ work }}"}', 1),
    Budget('``template``, content sent', 'template: {src: small.j2, dest: "{{ work }}/page"}', 2),
    Budget('``template``, unchanged', 'template: {src: small.j2, dest: "{{ work }}/page2"}', 1,
           'template: {src: small.j2, dest: "{{ work }}/page2"}'),
    Budget('``tempfile``', 'tempfile: {path: "{{ work }}"}', 1),
    Budget('``unarchive``, archive sent', 'unarchive: {src: small.tar, dest: "{{ work }}"}', 2),
    Budget('``uri``', 'uri: {url: "http://127.0.0.1:9/"}', 1),
    Budget('``user``', 'user: {name: root, state: present}', 1),
    Budget('``wait_for``', 'wait_for: {path: "{{ work }}"}', 1),
)
