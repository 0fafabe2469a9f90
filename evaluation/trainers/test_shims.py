"""Tests of the shims against a running server: AGENT_REWARD_URL=... python3 test_shims.py

The server must know the dataset `sample` (`agent reward serve --dataset sample`).
"""

import json
import os
import sys
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agent_reward_client as client  # noqa: E402
import trl_reward  # noqa: E402
import verl_reward  # noqa: E402

BEFORE = {"m.py": "def f(a):\n    return a - 1\n"}
AFTER = {"m.py": "def f(a):\n    return a + 1\n"}
EDIT = (
    "<think>\nThe sign.\n</think>\n<solution>\n```python\n### m.py\n<<<<<<< SEARCH\n"
    "    return a - 1\n=======\n    return a + 1\n>>>>>>> REPLACE\n```\n</solution>"
)
OTHER = EDIT.replace("a + 1", "a * 1")
LABEL = {"code_context": BEFORE, "oracle_new_content": AFTER}


class Array:
    """As data loaders hand over."""

    def __init__(self, values):
        self.values = values

    def tolist(self):
        return list(self.values)


class Verl(unittest.TestCase):
    def test_ground_truth_may_be_an_object_text_or_an_instance(self):
        for truth in (LABEL, json.dumps(LABEL)):
            self.assertEqual(
                verl_reward.compute_score("swe", EDIT, truth),
                {"score": 1.0, "acc": 1.0, "invalid": 0.0},
            )
        worse = verl_reward.compute_score("swe", OTHER, LABEL)
        self.assertTrue(0.0 < worse["score"] < 1.0, worse)
        wrong = verl_reward.compute_score("swe", "no edit", "sample__ledgerly-1")
        self.assertEqual(wrong, {"score": -1.0, "acc": 0.0, "invalid": 1.0})

    def test_extra_info_may_hold_what_json_cannot(self):
        extra = {"code_context": BEFORE, "index": object(), "instance_id": "unused"}
        truth = {"oracle_new_content": AFTER}
        self.assertEqual(verl_reward.compute_score("swe", EDIT, truth, extra)["score"], 1.0)
        patches = Array(["--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"])
        answer = "```diff\n" + patches.values[0] + "```"
        scored = verl_reward.compute_score("swe", answer, {"oracle_patches": patches})
        self.assertEqual(scored["score"], 1.0)

    def test_batches_keep_their_order(self):
        answers = [EDIT, "nothing", OTHER, EDIT]
        batch = verl_reward.compute_score_batch(["swe"] * 4, answers, [LABEL] * 4)
        single = [verl_reward.compute_score("swe", answer, LABEL) for answer in answers]
        self.assertEqual(batch, single)

    def test_lone_surrogates_and_nul_bytes_are_scored(self):
        odd = EDIT.replace("a + 1", "a + '\ud800\x00'")
        self.assertTrue(0.0 < verl_reward.compute_score("swe", odd, LABEL)["score"] < 1.0)

    def test_a_wrong_label_is_an_error_and_no_reward(self):
        with self.assertRaisesRegex(ValueError, "ground_truth"):
            verl_reward.compute_score("swe", EDIT, 7)
        with self.assertRaisesRegex(ValueError, "did you mean sample__ledgerly-1"):
            verl_reward.compute_score("swe", EDIT, "sample__ledgerly-11")


class Trl(unittest.TestCase):
    def test_plain_and_conversational_completions(self):
        chat = [{"role": "assistant", "content": EDIT}]
        rewards = trl_reward.agent_reward(
            prompts=["p"] * 3,
            completions=[EDIT, chat, "nothing"],
            label=[LABEL, json.dumps(LABEL), LABEL],
            trainer_state=object(),
        )
        self.assertEqual(rewards, [1.0, 1.0, -1.0])

    def test_columns_of_the_dataset(self):
        rewards = trl_reward.agent_reward(
            ["p"] * 2,
            [EDIT, OTHER],
            completion_ids=[[1], [2]],
            code_context=[BEFORE, BEFORE],
            oracle_new_content=[AFTER, AFTER],
        )
        self.assertEqual(rewards[0], 1.0)
        self.assertTrue(0.0 < rewards[1] < 1.0)


class Trouble(unittest.TestCase):
    """A server that answers as ours does when it is busy or cannot judge."""

    def serve(self, answers):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked.append(json.loads(body))
                status, document = answers.pop(0) if len(answers) > 1 else answers[0]
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}", asked

    def environment(self, url, **more):
        environment = {"AGENT_REWARD_URL": url, "AGENT_REWARD_TIMEOUT": "20", **more}
        return mock.patch.dict(os.environ, environment)

    def test_busy_and_masked_are_asked_again(self):
        good = {"score": 0.5, "acc": 0.0, "invalid": 0.0}
        url, asked = self.serve([(429, {}), (503, {}), (200, good)])
        with self.environment(url):
            self.assertEqual(verl_reward.compute_score("swe", "x", "a__b-1"), good)
        self.assertEqual(len(asked), 3)

    def test_what_stays_masked_is_never_a_number_unless_told(self):
        url, _ = self.serve([(503, {"mask_sample": True})])
        with self.environment(url, AGENT_REWARD_TIMEOUT="1"):
            with self.assertRaises(client.RewardUnavailable):
                verl_reward.compute_score("swe", "x", "a__b-1")
            with mock.patch.dict(os.environ, {"AGENT_REWARD_FALLBACK": "0.25"}):
                scored = verl_reward.compute_score("swe", "x", "a__b-1")
        self.assertEqual((scored["score"], scored["masked"]), (0.25, 1.0))

    def test_trl_asks_again_for_late_samples_only(self):
        late = {"index": 1, "kind": "deadline", "reason": "r"}
        gone = {"index": 2, "kind": "infra", "reason": "r"}
        url, asked = self.serve([
            (200, {"rewards": [1.0, None, None], "failures": [late, gone]}),
            (200, {"rewards": [0.0], "failures": []}),
        ])
        with self.environment(url):
            rewards = trl_reward.agent_reward(["p"] * 3, ["a", "b", "c"], label=["x", "y", "z"])
        self.assertEqual(rewards, [1.0, 0.0, None])
        self.assertEqual(asked[1], {"completions": ["b"], "label": ["y"]})


if __name__ == "__main__":
    unittest.main()
