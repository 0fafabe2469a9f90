"""Command line of cadence."""

import argparse
import os
import sys
from datetime import date, datetime, timedelta

from . import store
from .errors import CadenceError
from .events import Event
from .rules import parse_rule


def build_parser():
    """The argument parser."""
    parser = argparse.ArgumentParser(prog="cadence", description="Recurring events in plain words.")
    parser.add_argument("--file", default=os.path.expanduser("~/.cadence.json"))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True

    add = commands.add_parser("add", help="add an event")
    add.add_argument("name")
    add.add_argument("start", help="2024-03-04 or 2024-03-04T09:30")
    add.add_argument("rule", nargs="?", help="every week on mon until 2024-06-30")

    show = commands.add_parser("list", help="list occurrences")
    show.add_argument("--from", dest="begin", type=datetime.fromisoformat, default=None)
    show.add_argument("--days", type=int, default=14)

    following = commands.add_parser("next", help="show the next occurrence")
    following.add_argument("name", nargs="?")
    following.add_argument("--after", type=datetime.fromisoformat, default=None)

    skip = commands.add_parser("skip", help="drop one date of an event")
    skip.add_argument("name")
    skip.add_argument("day", type=date.fromisoformat)
    return parser


def main(argv=None, out=None):
    """Run the command; returns the exit status."""
    out = sys.stdout if out is None else out
    options = build_parser().parse_args(argv)
    try:
        calendar = store.load(options.file)
        return COMMANDS[options.command](calendar, options, out)
    except (CadenceError, OSError, ValueError) as error:
        print("cadence: {}".format(error), file=sys.stderr)
        return 2


def _add(calendar, options, out):
    rule = None if options.rule is None else parse_rule(options.rule)
    start = datetime.fromisoformat(options.start)
    calendar.add(Event(options.name, start, rule, all_day="T" not in options.start))
    store.save(calendar, options.file)
    return 0


def _list(calendar, options, out):
    begin = options.begin or datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for occurrence in calendar.between(begin, begin + timedelta(days=options.days)):
        print(occurrence, file=out)
    return 0


def _next(calendar, options, out):
    found = calendar.next_after(options.after or datetime.now(), options.name)
    if found is None:
        return 1
    print(found, file=out)
    return 0


def _skip(calendar, options, out):
    calendar[options.name].skip(options.day)
    store.save(calendar, options.file)
    return 0


COMMANDS = {"add": _add, "list": _list, "next": _next, "skip": _skip}
