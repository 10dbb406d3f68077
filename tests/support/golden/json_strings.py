"""Digest of json.dumps of a string with every Unicode scalar value, for tests/base/test_json.c.

Made with Python 3.11.7 (json of the standard library).
"""
import hashlib
import json

every = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
text = json.dumps(every, ensure_ascii=True)
print(len(text), hashlib.sha256(text.encode("ascii")).hexdigest())
