"""Command line of quillet."""

import argparse
import sys

from .blocks import parse
from .errors import QuilletError
from .html import to_html
from .outline import outline_text


def main(argv=None, out=None):
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="quillet", description="Render a document to HTML.")
    parser.add_argument("file", help="document, or - for standard input")
    parser.add_argument("--toc", action="store_true", help="print the headings only")
    options = parser.parse_args(argv)
    out = sys.stdout if out is None else out
    try:
        document = parse(_read(options.file))
    except (QuilletError, OSError, UnicodeDecodeError) as error:
        print("quillet: {}: {}".format(options.file, error), file=sys.stderr)
        return 1
    out.write(outline_text(document) if options.toc else to_html(document))
    return 0


def _read(name):
    if name == "-":
        return sys.stdin.read()
    with open(name, encoding="utf-8", newline="") as stream:
        return stream.read()
