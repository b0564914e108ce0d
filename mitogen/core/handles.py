"""Numbers of the mailboxes that exist in every context, and who may write to them."""

#: Log records from below: DATA ``[logger name, level, text]``.
FORWARD_LOG = 100
#: A parent asks for a function call: DATA ``[module, function or class.method, args, kwargs]``.
CALL_FUNCTION = 101
#: A child asks for a module: DATA full name. Answer: LOAD_MODULE's payload, at `reply_to`.
GET_MODULE = 102
#: A parent sends a module unasked, or as an answer: DATA :class:`dict`, see :mod:`mitogen.core.importer`.
LOAD_MODULE = 103
#: A parent ends this context.
SHUTDOWN = 104
#: A route to a context appeared below (DATA ``id``) or went (DATA ``[id, reason]``). The latter from
#: a parent: end that child.
ADD_ROUTE = 105
DEL_ROUTE = 106
#: A parent pushes numbered members: DATA ``{members: [[number, path, size]...], blob: zlib}``.
PUSH_CODE = 107
#: A child asks for numbered members: DATA ``[number...]``. Answers at `reply_to`:
#: DATA ``{members: [[number, path, bytes]...], last: bool}``, one or more of them.
GET_CODE = 108
#: A parent has modules passed on that it has sent here: DATA ``[context ID, [full name...]]``.
FORWARD_MODULES = 109
#: To a zygote: start a job, cancel one, acknowledge chunks of its output (see :mod:`mitogen.zygote`).
RUN = 110
CANCEL = 111
ACK = 112
#: A context that is about to have children asks the root for context IDs: DATA how many. Answer: the first.
ALLOCATE_ID = 113
#: A parent ends a call that it made: DATA the mailbox that waits for the answer.
CANCEL_CALL = 114

#: First number given to mailboxes made at run time.
FIRST_FREE = 1000
