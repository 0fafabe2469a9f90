"""Calendars as JSON files."""

import json
import os
from datetime import date, datetime

from .agenda import Calendar
from .errors import StoreError
from .events import Event
from .rules import parse_rule

VERSION = 1


def load(path):
    """Read a calendar; a file that does not exist is an empty one."""
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
    except FileNotFoundError:
        return Calendar()
    except ValueError as error:
        raise StoreError("{}: {}".format(path, error)) from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise StoreError("{}: not a calendar of version {}".format(path, VERSION))
    return Calendar(_event(item) for item in data["events"])


def save(calendar, path):
    """Write a calendar; the old file stays until the new one is complete."""
    data = {"version": VERSION, "events": [_item(event) for event in calendar]}
    draft = "{}.new".format(path)
    with open(draft, "w", encoding="utf-8") as stream:
        json.dump(data, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
    os.replace(draft, path)


def _item(event):
    return {
        "name": event.name,
        "start": event.start.isoformat(timespec="minutes"),
        "all_day": event.all_day,
        "rule": None if event.rule is None else str(event.rule),
        "skipped": sorted(day.isoformat() for day in event.skipped),
    }


def _event(item):
    return Event(
        item["name"],
        datetime.fromisoformat(item["start"]),
        None if item["rule"] is None else parse_rule(item["rule"]),
        item["all_day"],
        {date.fromisoformat(day) for day in item["skipped"]},
    )
