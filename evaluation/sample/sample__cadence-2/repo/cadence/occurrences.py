"""From an event to its single occurrences."""

import calendar
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from .events import Event


@dataclass(frozen=True)
class Occurrence:
    """One date of an event."""

    moment: datetime
    event: Event

    def __str__(self):
        form = "%Y-%m-%d      " if self.event.all_day else "%Y-%m-%d %H:%M"
        return "{}  {}".format(self.moment.strftime(form), self.event.name)


def expand(event):
    """Yield the occurrences of an event in order of time.

    Endless for a rule without ``until`` and ``count``. Skipped days are left out
    but count towards ``count``.
    """
    for number, moment in enumerate(_moments(event)):
        if event.rule is not None and _is_over(event.rule, number, moment):
            return
        if moment.date() not in event.skipped:
            yield Occurrence(moment, event)


def _is_over(rule, number, moment):
    """Whether a rule ends before its occurrence ``number``, which is at ``moment``."""
    if rule.count is not None and number >= rule.count:
        return True
    return rule.until is not None and moment > datetime.combine(rule.until, time.min)


def _moments(event):
    rule = event.rule
    if rule is None:
        yield event.start
    elif rule.unit == "day":
        yield from _stepping(event.start, timedelta(days=rule.interval))
    elif rule.unit == "week":
        yield from _weekly(event.start, rule)
    else:
        months = rule.interval * (12 if rule.unit == "year" else 1)
        step = 0
        while True:
            yield _add_months(event.start, step * months)
            step += 1


def _stepping(moment, step):
    while True:
        yield moment
        moment += step


def _weekly(start, rule):
    weekdays = rule.weekdays or (start.weekday(),)
    monday = start - timedelta(days=start.weekday())
    for week in _stepping(monday, timedelta(weeks=rule.interval)):
        for weekday in weekdays:
            moment = week + timedelta(days=weekday)
            if moment >= start:
                yield moment


def _add_months(start, months):
    """``start`` some months later; the last day of the month if that is shorter."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))
