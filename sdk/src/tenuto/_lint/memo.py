"""Remembers what was found out about a function, so that several rules look at it once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K")
V = TypeVar("V")


def remembered(find: Callable[[K], V]) -> Callable[[K], V]:
    """Decorator for a pure function of a view; its results live as long as the view."""
    known: WeakKeyDictionary[K, V] = WeakKeyDictionary()

    @wraps(find)
    def look_up(key: K) -> V:
        try:
            return known[key]
        except KeyError:
            value = known[key] = find(key)
            return value

    return look_up
