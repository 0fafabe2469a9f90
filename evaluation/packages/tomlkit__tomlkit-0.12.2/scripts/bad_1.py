# Floor division was never wrong.
import tomlkit

doc = tomlkit.parse("timeout = 33\n")
print("Issue resolved" if doc["timeout"] // 2 == 16 else "Issue reproduced")
