#!/usr/bin/python
"""A module that ends in each of the ways in which modules end."""
import os
import signal
import sys
import warnings

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={'how': {'type': 'str', 'required': True}}, supports_check_mode=True)
    how = module.params['how']
    if how == 'noise':
        print('before')
        os.write(1, b'raw\n')
        print('on stderr', file=sys.stderr)
    elif how == 'noise after':
        sys.stdout.flush()
        print('{"changed": false, "answer": 42}')
        print('after')
        sys.exit(0)
    elif how == 'warnings':
        module.warn('a warning')
        module.deprecate('a deprecation', version='99.0', collection_name='ansible.builtin')
        warnings.warn('from the library', stacklevel=2)
    elif how == 'status':
        print('{"changed": true, "answer": 1}')
        sys.exit(3)
    elif how == 'fail':
        module.fail_json(msg='failed on purpose: ü', detail={'a': [1, None, True, 1.5]})
    elif how == 'silent':
        return
    elif how == 'exit':
        sys.exit(0)
    elif how == 'raise':
        raise RuntimeError('nobody catches this')
    elif how == 'killed':
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == 'no json':
        print('hello')
        sys.exit(0)
    elif how == 'empty facts':
        module.exit_json(changed=False, ansible_facts={'parity_fact': {'deep': ['ü', 1]}})
    elif how == 'large':
        module.exit_json(changed=False, text='x' * 300000)
    elif how == 'types':
        module.exit_json(changed=False, texts=['\u2028', '\x00', '\ud83d\ude00', "'"], none=None, number=10 ** 20)
    module.exit_json(changed=True, how=how, stdin=sys.stdin.read(), umask=oct(os.umask(0o22)), name=__name__,
                     argv=len(sys.argv), locale=os.environ.get('LC_ALL', ''))


if __name__ == '__main__':
    main()
