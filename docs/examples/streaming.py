"""A stream of values from another process, read at one's own speed."""

from mitogen.core import Receiver
from mitogen.utils import run_with_router


def count(sender, upto):
    """Runs elsewhere. `sender` writes to a mailbox of the caller."""
    for number in range(upto):
        sender.send({'number': number, 'data': b'.' * 1000})
    sender.close()


def main(router):
    child = router.local()
    numbers = Receiver(router, source=child.context_id)
    call = child.call_async(count, numbers.to_sender(), 2000)
    print(sum(item['number'] for item in numbers))
    call.get()


if __name__ == '__main__':
    run_with_router(main)
