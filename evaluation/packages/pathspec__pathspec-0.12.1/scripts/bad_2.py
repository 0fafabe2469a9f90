# Truthiness cannot tell None from False.
import pathspec

spec = pathspec.PathSpec.from_lines("gitwildmatch", ["*.log"])
if spec.match_file("src/main.py"):
    print("Issue reproduced")
else:
    print("Issue resolved")
