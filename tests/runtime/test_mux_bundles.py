"""Zips taken to numbered members, and what is sent to whom."""

import base64
import hashlib
import io
import random
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_mitogen.mux import bundles
from ansible_mitogen.mux.bundles import BundleError, BundleStore, Member, module_name, to_ranges

RUNNER = Member('ansible_mitogen/target/runner.py', b'def run_module(): pass')
BASIC = 'ansible/module_utils/basic.py'


def make_zip(files: Any) -> Any:
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as archive:
        for path, source in files.items():
            archive.writestr(path, source)
    text = base64.b64encode(out.getvalue())
    return hashlib.sha256(text).hexdigest(), text


@pytest.fixture
def store() -> Any:
    return BundleStore([RUNNER])


def received(pushes: Any) -> Any:
    """Return what a target has after PUSH_CODE messages: path -> source."""
    got = {}
    for push in pushes:
        blob, at = zlib.decompress(push['blob']), 0
        for _, path, size in push['members']:
            got[path] = blob[at:at + size]
            at += size
        assert at == len(blob)
    return got


def test_a_host_gets_all_members_once(store: Any) -> None:
    bundle = store.add(*make_zip({BASIC: b'basic', 'ansible/modules/ping.py': b'ping'}))
    assert received(store.pushes(1, bundle)) == {
        RUNNER.path: RUNNER.source, BASIC: b'basic', 'ansible/modules/ping.py': b'ping'}
    assert store.pushes(1, bundle) == []
    assert len(received(store.pushes(2, bundle))) == 3


def test_a_second_module_brings_only_what_is_new(store: Any) -> None:
    store.pushes(1, store.add(*make_zip({BASIC: b'basic', 'ansible/modules/ping.py': b'ping'})))
    other = store.add(*make_zip({BASIC: b'basic', 'ansible/modules/file.py': b'file'}))
    assert received(store.pushes(1, other)) == {'ansible/modules/file.py': b'file'}


def test_another_content_under_the_same_path_is_another_member(store: Any) -> None:
    store.pushes(1, store.add(*make_zip({BASIC: b'basic'})))
    overridden = store.add(*make_zip({BASIC: b'my own'}))
    assert received(store.pushes(1, overridden)) == {BASIC: b'my own'}


def test_the_same_set_is_compressed_once(store: Any, monkeypatch: Any) -> None:
    bundle = store.add(*make_zip({BASIC: b'basic'}))
    blobs = [store.pushes(host, bundle)[0]['blob'] for host in range(300)]
    assert all(blob is blobs[0] for blob in blobs)


def test_what_the_first_context_will_lack_is_compressed_before_it_is_there(store: Any, monkeypatch: Any) -> None:
    bundle, other = store.add(*make_zip({BASIC: b'basic'})), store.add(*make_zip({BASIC: b'basic', 'a.py': b'a'}))
    store.compress_first(bundle)
    compress = bundles.zlib.compress
    compressed: list[bytes] = []
    monkeypatch.setattr(bundles.zlib, 'compress', lambda data, level: compressed.append(data) or compress(data, level))
    store.pushes(1, bundle)
    assert not compressed
    # From now on contexts lack parts only.
    store.compress_first(other)
    assert not compressed


def test_a_context_that_is_forgotten_gets_everything_again(store: Any) -> None:
    bundle = store.add(*make_zip({BASIC: b'basic'}))
    store.pushes(1, bundle)
    store.forget(1)
    assert len(received(store.pushes(1, bundle))) == 2


def test_pushes_fit_into_frames_also_when_nothing_compresses(store: Any) -> None:
    noise = random.Random(1).randbytes
    bundle = store.add(*make_zip({'a/m%d.py' % number: noise(300_000) for number in range(10)}))
    pushes = store.pushes(1, bundle)
    assert len(pushes) > 1
    assert all(len(push['blob']) < (1 << 20) - 10_000 for push in pushes)
    assert len(received(pushes)) == 11


def test_members_are_answered_only_to_those_who_were_sent_them(store: Any) -> None:
    bundle = store.add(*make_zip({BASIC: b'basic'}))
    store.pushes(1, bundle)
    number = bundle.numbers[-1]
    assert store.answers(1, [number, 999, 'x']) == [{'members': [[number, BASIC, b'basic']], 'last': True}]
    assert store.answers(2, [number]) == [{'members': [], 'last': True}]


def test_what_was_imported_is_preloaded_the_next_time_but_never_the_module_itself(store: Any) -> None:
    bundle = store.add(*make_zip({
        BASIC: b'', 'ansible/module_utils/urls.py': b'', 'ansible/modules/uri.py': b'',
        'ansible_collections/a/b/plugins/module_utils/x/__init__.py': b''}))
    assert bundle.preload == ['ansible.module_utils.basic']
    bundle.learn(['ansible.module_utils.urls', 'ansible.modules.uri', 'json', 'not.in.module_utils.it',
                  'ansible_collections.a.b.plugins.module_utils.x'])
    assert bundle.preload == ['ansible.module_utils.basic', 'ansible.module_utils.urls',
                              'ansible_collections.a.b.plugins.module_utils.x']


def test_a_module_without_basic_preloads_nothing(store: Any) -> None:
    assert store.add(*make_zip({'ansible/modules/own.py': b''})).preload == []


@pytest.mark.parametrize('text', [b'', b'!', b'AAAA', base64.b64encode(b'PK\x05\x06' + b'\0' * 10)])
def test_what_is_no_zip_is_refused(store: Any, text: Any) -> None:
    with pytest.raises(BundleError):
        store.add(hashlib.sha256(text).hexdigest(), text)


def test_a_zip_under_a_wrong_name_is_refused(store: Any) -> None:
    with pytest.raises(BundleError):
        store.add('0' * 64, make_zip({BASIC: b''})[1])


def test_a_member_that_fits_no_frame_is_refused(store: Any) -> None:
    with pytest.raises(BundleError, match='too large'):
        store.add(*make_zip({'a.py': b'#' * (bundles.BATCH_SIZE + 1)}))


@given(st.sets(st.integers(0, 50)))
def test_ranges_hold_exactly_the_numbers(numbers: Any) -> None:
    ranges = to_ranges(sorted(numbers))
    assert {n for first, last in ranges for n in range(first, last + 1)} == numbers
    assert all(ranges[i][1] + 1 < ranges[i + 1][0] for i in range(len(ranges) - 1))


@pytest.mark.parametrize('path, name', [
    ('ansible/__init__.py', 'ansible'), ('ansible/modules/ping.py', 'ansible.modules.ping'), ('data/x.json', ''),
])
def test_module_names_come_from_paths(path: Any, name: Any) -> None:
    assert module_name(path) == name
