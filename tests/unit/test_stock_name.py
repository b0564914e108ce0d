"""Plays know our strategies by the names of the stock ones."""

from types import SimpleNamespace

import pytest
from ansible.plugins.strategy import free, host_pinned, linear

from ansible_mitogen.stock_name import stock_name_of, use_stock_name
from ansible_mitogen.strategy import MitogenStrategy


@pytest.mark.parametrize('stock', [linear, free, host_pinned])
def test_name_is_that_of_the_stock_strategy(stock):
    ours = type('StrategyModule', (MitogenStrategy, stock.StrategyModule), {})
    plugin = type('StrategyModule', (ours,), {'__module__': 'ansible.plugins.strategy.mitogen_one'})
    assert stock_name_of(plugin, MitogenStrategy) == stock.__name__.rpartition('.')[2]


def test_strategy_that_is_made_of_no_stock_one_has_none():
    play = SimpleNamespace(strategy='theirs')
    use_stock_name(MitogenStrategy, MitogenStrategy, play, [])
    assert play.strategy == 'theirs'


def test_play_and_callbacks_see_the_stock_name():
    play, lockstep, other = SimpleNamespace(strategy='mitogen'), SimpleNamespace(_is_lockstep=False), SimpleNamespace()
    use_stock_name(linear.StrategyModule, MitogenStrategy, play, [lockstep, other])
    assert play.strategy == 'linear'
    assert lockstep._is_lockstep is True
    assert not vars(other)


def test_play_that_goes_free_is_not_in_lockstep():
    play, callback = SimpleNamespace(strategy='mitogen_free'), SimpleNamespace(_is_lockstep=False)
    use_stock_name(free.StrategyModule, MitogenStrategy, play, [callback])
    assert (play.strategy, callback._is_lockstep) == ('free', False)
