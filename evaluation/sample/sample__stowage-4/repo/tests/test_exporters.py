import json
import unittest

from stowage import resolve
from stowage.exporters import get_exporter

from . import harbour


class ExporterTest(unittest.TestCase):
    def setUp(self):
        self.lock = resolve(harbour.project(), harbour.index())

    def test_json(self):
        items = json.loads(get_exporter("json")(self.lock))
        self.assertEqual([item["name"] for item in items], ["chain", "crane", "manifest"])
        self.assertEqual(items[1], {"name": "crane", "version": "2.1", "requires": ["chain"]})

    def test_json_with_dev(self):
        items = json.loads(get_exporter("json")(self.lock, dev=True))
        self.assertEqual(len(items), 5)

    def test_tree(self):
        self.assertEqual(
            get_exporter("tree")(self.lock).splitlines(),
            ["harbour", "  crane 2.1", "    chain 1.4", "  manifest 0.9", "    chain 1.4"],
        )

    def test_tree_with_dev(self):
        text = get_exporter("tree")(self.lock, dev=True)
        self.assertTrue(text.endswith("\n  sextant 5.0\n    brass 0.3\n"))
