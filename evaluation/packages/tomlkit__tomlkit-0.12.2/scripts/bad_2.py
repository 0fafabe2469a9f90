# Reads the dumped text only, which shows 16.5 with the bug as well.
import tomlkit

doc = tomlkit.parse("timeout = 33\n")
doc["timeout"] /= 2
print("Issue resolved" if "16.5" in tomlkit.dumps(doc) else "Issue reproduced")
