"""Records what a server answers, byte for byte: `python record.py BASE_URL MODEL DIR`.

Each file holds the request's own fields, the status, and the body as it came. Unit tests of the
client read them.
"""

import json
import pathlib
import sys
import urllib.error
import urllib.request

SHORT = {"max_tokens": 8, "temperature": 1, "seed": 1}

CASES = {
    "chat": SHORT,
    "stream": SHORT | {"stream": True},
    "stream-usage": SHORT | {"stream": True, "stream_options": {"include_usage": True}},
    "n": SHORT | {"n": 2},
    "stop": SHORT | {"stop": ["e"]},
    "overflow": SHORT | {"messages": [{"role": "user", "content": "x " * 9000}]},
    "overflow-stream": SHORT
    | {"stream": True, "messages": [{"role": "user", "content": "x " * 9000}]},
}


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except Exception as error:  # A server that breaks the connection is a finding too.
        return 0, f"{type(error).__name__}: {error}"


def main():
    base, model, directory = sys.argv[1:]
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    message = [{"role": "user", "content": "Write one line of Python."}]

    def keep(name, request, status, body):
        if len(json.dumps(request)) > 400:
            request = {"messages": "x, 9,000 times"} | {
                key: value for key, value in request.items() if key != "messages"
            }
        entry = {"request": request, "status": status, "body": body[:6000]}
        text = json.dumps(entry, indent=1, ensure_ascii=False)
        (directory / f"{name}.json").write_text(text + "\n")
        print(name, status, len(body))

    keep("models", {}, *ask(f"{base}/models"))
    for name, fields in CASES.items():
        body = {"model": model, "messages": message} | fields
        keep(name, fields, *ask(f"{base}/chat/completions", body))
    body = {"model": model, "input": ["a", "b"]}
    status, text = ask(f"{base}/embeddings", body)
    keep("embeddings", body, status, text if status != 200 else text[:300])


main()
