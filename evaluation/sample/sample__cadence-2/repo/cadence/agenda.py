"""Calendars: named events, and questions about them."""

import heapq
from datetime import datetime, time
from itertools import takewhile

from .errors import DuplicateEvent, UnknownEvent
from .occurrences import expand


class Calendar:
    """Events by name."""

    def __init__(self, events=()):
        self._events = {}
        for event in events:
            self.add(event)

    def __iter__(self):
        return iter(self._events.values())

    def __len__(self):
        return len(self._events)

    def __getitem__(self, name):
        try:
            return self._events[name]
        except KeyError:
            raise UnknownEvent("no event named {!r}".format(name)) from None

    def add(self, event):
        """Add an event; names are unique."""
        if event.name in self._events:
            raise DuplicateEvent("there is an event named {!r} already".format(event.name))
        self._events[event.name] = event

    def remove(self, name):
        """Remove an event and all its occurrences."""
        self[name]
        del self._events[name]

    def between(self, begin, end):
        """Occurrences with ``begin <= moment < end``, in order of time, then name."""
        streams = []
        for event in self:
            found = takewhile(lambda o: o.moment < end, expand(event))
            streams.append([o for o in found if o.moment >= begin])
        return list(heapq.merge(*streams, key=lambda o: (o.moment, o.event.name)))

    def next_after(self, moment, name=None):
        """The first occurrence at or after ``moment``, or None.

        With ``name`` only that event is looked at.
        """
        events = self if name is None else [self[name]]
        best = None
        for event in events:
            if has_ended(event, moment):
                continue
            for occurrence in expand(event):
                if occurrence.moment >= moment:
                    if best is None or occurrence.moment < best.moment:
                        best = occurrence
                    break
        return best

    def prune(self, moment):
        """Remove events that can have no occurrence from ``moment`` on; returns their names."""
        gone = [event.name for event in self if has_ended(event, moment)]
        for name in gone:
            del self._events[name]
        return gone


def has_ended(event, moment):
    """Whether an event lies entirely before ``moment``, told without expanding its rule.

    Rules that end by count are never said to have ended.
    """
    if event.rule is None:
        return event.start < moment
    if event.rule.until is None:
        return False
    return datetime.combine(event.rule.until, time.min) < moment
