"""The reference: openai-python under asyncio, one JSON line a completion, as published pipelines do it.

    pip install openai
    python evaluation/scale/reference.py BASE_URL OUT --instances 20 --samples 500

Prompts are written once each, replies are not compressed and not synced: it does less than `agent`.
"""

import argparse
import asyncio
import json
import os
import resource
import time

import openai


def text(number, size):
    line = f"    value_{number} = self.lookup(key, default=None)  # the {number}. of its kind\n"
    return (line * (size // len(line) + 1))[:size]


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("out")
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--prompt", type=int, default=150_000)
    parser.add_argument("--n", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=64)
    args = parser.parse_args()
    os.makedirs(args.out)
    client = openai.AsyncOpenAI(base_url=args.base_url, api_key="none", max_retries=5)
    permits = asyncio.Semaphore(args.concurrency)
    before, start, done = time.process_time(), time.monotonic(), 0

    async def ask(messages, first, out):
        nonlocal done
        async with permits:
            more = {"n": args.n} if args.n > 1 else {}
            reply = await client.chat.completions.create(
                model="standin", messages=messages, temperature=0.8, max_tokens=4096, seed=first, **more
            )
        for index, choice in enumerate(reply.choices):
            row = {
                "sample": first + index,
                "content": choice.message.content,
                "finish_reason": choice.finish_reason,
                "completion_tokens": reply.usage.completion_tokens,
            }
            out.write(json.dumps(row) + "\n")
            done += 1
        out.flush()

    for number in range(args.instances):
        messages = [{"role": "user", "content": text(number, args.prompt)}]
        with open(os.path.join(args.out, f"{number}.jsonl"), "w") as out:
            out.write(json.dumps({"messages": messages}) + "\n")
            await asyncio.gather(*(ask(messages, first, out) for first in range(0, args.samples, args.n)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({
        "completions": done,
        "wall": time.monotonic() - start,
        "cpu": time.process_time() - before,
        "peak_mib": peak / 1024,
    }))


asyncio.run(main())
