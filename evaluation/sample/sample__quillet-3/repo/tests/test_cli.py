import contextlib
import io
import os
import tempfile
import unittest

from quillet.cli import main


class CommandLineTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "doc.md")
        with open(self.path, "w", encoding="utf-8") as stream:
            stream.write("# One\n\ntext\n\n## Two `x`\n")

    def test_render(self):
        out = io.StringIO()
        self.assertEqual(main([self.path], out), 0)
        self.assertTrue(out.getvalue().startswith('<h1 id="one">One</h1>\n<p>text</p>\n'))

    def test_toc(self):
        out = io.StringIO()
        self.assertEqual(main(["--toc", self.path], out), 0)
        self.assertEqual(out.getvalue(), "One  #one\n  Two x  #two-x\n")

    def test_missing_file(self):
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(main([self.path + ".txt"], io.StringIO()), 1)
        self.assertIn("doc.md.txt", err.getvalue())
