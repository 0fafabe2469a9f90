import contextlib
import io
import json
import os
import tempfile
import unittest

from stowage import Lock, resolve
from stowage.cli import main

from . import harbour


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.lock = os.path.join(folder.name, "stowage.lock")
        self.project = self.write(folder.name, "project.json", harbour.PROJECT)
        self.index = self.write(folder.name, "index.json", harbour.INDEX)

    def write(self, folder, name, data):
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(data, stream)
        return path

    def stowage(self, *argv):
        out = io.StringIO()
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = main(list(argv), out)
        return status, out.getvalue(), err.getvalue()

    def test_lock(self):
        status, out, _ = self.stowage("lock", self.project, "--index", self.index, "-o", self.lock)
        self.assertEqual((status, out), (0, "locked 5 packages\n"))
        with open(self.lock, encoding="utf-8") as stream:
            lock = Lock.loads(stream.read())
        self.assertEqual(lock, resolve(harbour.project(), harbour.index()))

    def test_export(self):
        self.stowage("lock", self.project, "--index", self.index, "-o", self.lock)
        status, out, _ = self.stowage("export", self.lock, "--format", "tree")
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("harbour\n  crane 2.1\n"))

    def test_export_of_something_else(self):
        status, _, err = self.stowage("export", self.project)
        self.assertEqual(status, 2)
        self.assertIn("not a lock file", err)

    def test_unknown_format(self):
        with self.assertRaises(SystemExit) as caught:
            self.stowage("export", self.lock, "--format", "yaml")
        self.assertEqual(caught.exception.code, 2)
