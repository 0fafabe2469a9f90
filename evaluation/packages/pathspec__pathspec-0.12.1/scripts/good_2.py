import json

import pathspec

answers = []
for kind in (
    pathspec.PathSpec.from_lines("gitwildmatch", ["*.txt", "!test.txt"]),
    pathspec.GitIgnoreSpec.from_lines(["*.txt", "!test.txt"]),
):
    answers.append([kind.match_file(p) for p in ("a.txt", "test.txt", "c.bin")])

text = json.dumps(answers)
if "null" in text:
    print("Issue reproduced")
elif answers == [[True, False, False]] * 2:
    print("Issue resolved")
else:
    print("Other issues")
