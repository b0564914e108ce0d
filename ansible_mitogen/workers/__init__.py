"""What runs the tasks that a strategy hands out: threads of the main process, or forked processes.

The strategy asks a *worker model* for a worker for each task (:mod:`ansible_mitogen.workers.model`). That of today
runs tasks in threads (:mod:`ansible_mitogen.workers.threads`), except those that must have a process of their own
(:mod:`ansible_mitogen.workers.placement`).
"""
