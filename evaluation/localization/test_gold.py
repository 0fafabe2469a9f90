"""Tests of gold.py: python -m unittest evaluation/localization/test_gold.py"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import gold as G

PATCH = """diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,5 +1,6 @@ import os
 one
-two
+TWO
+more
 three
+inserted
 four
 five
@@ -20,2 +22,0 @@
--- looks like a header
-gone
@@ -30,0 +31,2 @@ def f
+a
+b
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+x
diff --git a/top.py b/top.py
--- a/top.py
+++ b/top.py
@@ -1,1 +1,2 @@
+first
 second
\\ No newline at end of file
"""


class Gold(unittest.TestCase):
    def test_lines(self) -> None:
        gold = G.gold_lines(PATCH)
        self.assertEqual(gold["a.py"], {2, 3, 4, 20, 21, 30})
        self.assertEqual(gold["top.py"], {1})
        self.assertEqual(set(gold), {"a.py", "top.py"})


if __name__ == "__main__":
    unittest.main()
