"""Command line of stowage."""

import argparse
import sys

from .errors import StowageError
from .exporters import FORMATS, get_exporter
from .index import Index
from .lockfile import Lock
from .project import Project
from .resolver import resolve


def build_parser():
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="stowage", description="Lock dependencies against an offline index."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True

    lock = commands.add_parser("lock", help="choose versions and write them down")
    lock.add_argument("project", help="project file")
    lock.add_argument("--index", required=True, help="index file")
    lock.add_argument("-o", "--output", default="stowage.lock")
    lock.set_defaults(run=_lock)

    export = commands.add_parser("export", help="print a lock in another form")
    export.add_argument("lock", help="lock file")
    export.add_argument("--format", choices=FORMATS, default="json")
    export.add_argument("--dev", action="store_true", help="with packages for development")
    export.set_defaults(run=_export)
    return parser


def main(argv=None, out=None):
    """Run the command; returns the exit status."""
    out = sys.stdout if out is None else out
    options = build_parser().parse_args(argv)
    try:
        return options.run(options, out)
    except (StowageError, OSError) as error:
        print("stowage: {}".format(error), file=sys.stderr)
        return 2


def _lock(options, out):
    lock = resolve(Project.load(options.project), Index.load(options.index))
    with open(options.output, "w", encoding="utf-8") as stream:
        stream.write(lock.dumps())
    print("locked {} packages".format(len(lock.pins)), file=out)
    return 0


def _export(options, out):
    with open(options.lock, encoding="utf-8") as stream:
        lock = Lock.loads(stream.read())
    out.write(get_exporter(options.format)(lock, options.dev))
    return 0
