"""The fork server of a context: every job runs in a process of its own, forked from a warm parent.

A zygote is forked off its context before that has any threads, and stays
single-threaded. It speaks frames with its context over a socket. Its mailboxes:

``RUN``
    start a job: a command, or a function importable from numbered members.
    DATA, see :class:`mitogen.zygote.jobs.Job`.
    Refused with ``mitogen.zygote.Outdated`` once a file has changed which the
    start of the context read: whoever asks opens a new one.
``CANCEL``
    end a job: DATA ``{job}``.
``ACK``
    chunks of a job's output have arrived: DATA ``{job, chunks}``.

It ends, with all its jobs, when the socket is closed.
"""
