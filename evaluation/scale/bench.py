"""Completions at paper scale: `agent`'s client and journal beside openai-python, one server, one run.

    pip install openai
    cargo build --release --example scale
    python evaluation/scale/bench.py target/release/examples/scale

README.md in this folder says what is measured and how to read it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def on_disk(folder):
    """Bytes of all files, in whole blocks as the file system gives them out."""
    total = 0
    for path, _, names in os.walk(folder):
        total += sum(os.stat(os.path.join(path, name)).st_blocks * 512 for name in names)
    return total


def measured(command, out):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout), "disk": on_disk(out)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scale", help="the example `scale`")
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--prompt", type=int, default=150_000, help="bytes of a prompt")
    parser.add_argument("--reply", type=int, default=8_000, help="bytes of a reply")
    parser.add_argument("--reference-instances", type=int, default=10,
                        help="instances that the reference asks for; its figures are scaled")
    parser.add_argument("--n", type=int, nargs="+", default=[1, 50], help="samples asked for in one request")
    parser.add_argument("--concurrency", type=int, default=64)
    args = parser.parse_args()
    server = subprocess.Popen([args.scale, "serve", "--reply", str(args.reply)], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        print("| n | client | completions | per s | CPU ms each | per CPU-s | ratio | peak MiB | kB on disk each | whole run on disk, GB |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for n in args.n:
            common = ["--samples", str(args.samples), "--prompt", str(args.prompt), "--n", str(n),
                      "--concurrency", str(args.concurrency)]
            rows = {}
            with tempfile.TemporaryDirectory() as folder:
                out = os.path.join(folder, "reference")
                command = [sys.executable, os.path.join(HERE, "reference.py"), url, out,
                           "--instances", str(args.reference_instances), *common]
                rows["openai-python"] = measured(command, out)
                out = os.path.join(folder, "agent")
                command = [args.scale, "ask", url, out, "--instances", str(args.instances), *common]
                rows["agent"] = measured(command, out)
            rate = {name: row["completions"] / row["cpu"] for name, row in rows.items()}
            for name, row in rows.items():
                each = row["disk"] / row["completions"]
                print(f"| {n} | {name} | {row['completions']:,} | {row['completions'] / row['wall']:,.0f} "
                      f"| {1000 / rate[name]:.3f} | {rate[name]:,.0f} | {rate[name] / rate['openai-python']:.1f} "
                      f"| {row['peak_mib']:,.0f} | {each / 1000:.1f} "
                      f"| {each * args.instances * args.samples / 1e9:.2f} |", flush=True)
    finally:
        server.kill()


main()
