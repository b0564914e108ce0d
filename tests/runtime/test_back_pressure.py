"""A stream of any length takes little memory in any process that it passes through."""

import pytest

from tests.runtime.programs import run

#: 1 GiB.
BLOCKS, BLOCK_SIZE = 8192, 128 * 1024

#: The most memory that a process may ever have held, in KiB.
LIMIT = 64 * 1024

FROM_BELOW = '''
hops, count, size = map(int, sys.argv[1:])
router = Router()
path = []
for _ in range(hops):
    path.append(router.local(via=path[-1] if path else None, python=sys.executable))
inbox = Receiver(router, source=path[-1].context_id)
done = path[-1].call_async(remote.send_blocks, inbox.to_sender(), count, size)
# Nothing is read at first: what comes all the same, does so while this sleeps.
while inbox.empty():
    time.sleep(0.01)
time.sleep(1)
unread = len(inbox._messages)
expected = 0
for block in inbox:
    assert int.from_bytes(block[:8], 'big') == expected and len(block) == size
    expected += 1
assert done.get(SOON) == expected
peaks = [remote.peak_memory()] + [context.call(remote.peak_memory) for context in path]
tell(unread=unread, count=expected, peaks=peaks)
end(router)
'''

FROM_ABOVE = '''
hops, count, size = map(int, sys.argv[1:])
router = Router()
path = []
for _ in range(hops):
    path.append(router.local(via=path[-1] if path else None, python=sys.executable))
inbox = Receiver(router, source=path[-1].context_id)
done = path[-1].call_async(remote.take_blocks, inbox.to_sender(), None)
start, blocks = inbox.get(SOON)
filler, sent = b'.' * (size - 8), 0
try:
    while sent < count:
        blocks.send(sent.to_bytes(8, 'big') + filler, timeout=1)
        sent += 1
except TimeoutError:
    start.send(None)
unread = sent
while sent < count:
    blocks.send(sent.to_bytes(8, 'big') + filler)
    sent += 1
blocks.close()
assert done.get(SOON) == [count, count * size]
peaks = [remote.peak_memory()] + [context.call(remote.peak_memory) for context in path]
tell(unread=unread, count=sent, peaks=peaks)
end(router)
'''


@pytest.mark.parametrize(('script', 'hops'), [(FROM_BELOW, 1), (FROM_ABOVE, 2)], ids=['up-1', 'down-2'])
def test_a_stream_of_a_gibibyte_keeps_every_process_small(script, hops):
    found = run(script, str(hops), str(BLOCKS), str(BLOCK_SIZE))
    assert found['count'] == BLOCKS
    # What the slow reader did not ask for was not sent: a few marks' worth.
    assert 0 < found['unread'] * BLOCK_SIZE <= 4 << 20
    assert len(found['peaks']) == hops + 1
    assert max(found['peaks']) < LIMIT, found['peaks']
