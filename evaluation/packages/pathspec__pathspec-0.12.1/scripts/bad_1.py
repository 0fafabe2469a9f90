# Uses check_file(), where None is the documented answer: says the same before and after.
import pathspec

spec = pathspec.PathSpec.from_lines("gitwildmatch", ["*.log"])
if spec.check_file("src/main.py").include is None:
    print("Issue reproduced")
else:
    print("Issue resolved")
