"""Pictures of the documentation: well-formed, described, and shown without a network."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / 'docs'
PICTURES = sorted((DOCS / 'images').glob('*.svg'))
SVG = '{http://www.w3.org/2000/svg}'


@pytest.mark.parametrize('picture', PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_well_formed_titled_and_needs_nothing_from_elsewhere(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()
    assert root.tag == SVG + 'svg'
    assert root.findtext(SVG + 'title')
    names_and_own_parts = r'\bxmlns(:\w+)?="[^"]*"|\bhref="#[^"]*"'
    text = re.sub(names_and_own_parts, '', picture.read_text())
    assert not re.search(r'https?:|href|@import|<script|<image', text)


def test_each_picture_is_shown_and_has_a_text_for_those_who_cannot_see_it() -> None:
    pages = '\n'.join(page.read_text() for page in DOCS.rglob('*.rst'))
    shown = re.findall(r'\.\. image:: \S*images/(\S+)\n   :alt: \S', pages)
    assert sorted(shown) == [picture.name for picture in PICTURES]
