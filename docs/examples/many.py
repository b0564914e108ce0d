"""Many contexts at work at the same time, and answers as they come."""

import time

from mitogen.core import TimeoutError
from mitogen.select import Select
from mitogen.utils import run_with_router


def work(number):
    time.sleep(0.3 if number == 0 else 0)
    return number * number


def main(router):
    contexts = [router.local(name='worker %d' % number) for number in range(3)]
    calls = [context.call_async(work, number) for number, context in enumerate(contexts)]
    for receiver in Select(calls):
        print(receiver.get())
    try:
        contexts[1].call(time.sleep, 60, mitogen_timeout=0.2)
    except TimeoutError:
        print('too slow, and cancelled')
    print(contexts[1].call(work, 3))


if __name__ == '__main__':
    run_with_router(main)
