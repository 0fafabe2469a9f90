import pathspec

spec = pathspec.PathSpec.from_lines("gitwildmatch", ["*.log", "!keep.log"])
result = spec.match_file("src/main.py")

if result is None:
    print("Issue reproduced")
elif result is False:
    print("Issue resolved")
else:
    print("Other issues")
