"""Files of a host that are read anew for every task under stock Ansible, since each task starts a shell or a program.

A context reads them once, so it must not outlive a change of them.
"""

#: By sshd for each command, and by the account's shell for ``-c``. A login is kept by stock Ansible too: what only that
#: reads (PAM, groups) is not among them.
READ_BY_SSH = (
    '~/.ssh/environment', '~/.ssh/rc', '/etc/ssh/sshrc', '~/.bashrc', '/etc/bash.bashrc', '~/.zshenv', '/etc/zshenv',
    '/etc/zsh/zshenv', '~/.cshrc', '~/.tcshrc', '/etc/csh.cshrc', '~/.config/fish/config.fish',
    '/etc/fish/config.fish',
)

#: By sudo, su and others of their kind with what they use, and by the shell of the account if it is to be a login.
READ_BY_BECOME = (
    '/etc/environment', '/etc/default/locale', '/etc/security', '/etc/security/limits.d', '/etc/group',
    '/etc/login.defs', '/etc/pam.d', '/etc/sudoers', '/etc/sudoers.d', '/etc/doas.conf', '~/.pam_environment',
    '/etc/profile', '/etc/profile.d', '~/.profile', '~/.bash_profile', '~/.bash_login', *READ_BY_SSH[3:],
)
