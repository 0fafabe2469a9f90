"""TRL: `GRPOTrainer(reward_funcs=agent_reward, ...)`.

The dataset names the reference in a column `label`, `ground_truth` or `instance_id`, or holds it in
`oracle_new_content` and `code_context`, or `oracle_patches`. A sample that cannot be judged gets
`None`, which TRL leaves out; samples whose tests were still running are asked for again until
AGENT_REWARD_TIMEOUT.
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agent_reward_client as client  # noqa: E402

_COLUMNS = (
    "label",
    "ground_truth",
    "instance_id",
    "code_context",
    "oracle_new_content",
    "oracle_patches",
    "kind",
)


def agent_reward(prompts, completions, **columns):
    """One reward, or None, for each completion: a text, or a chat's messages."""
    end = client.time_limit()
    columns = {name: list(columns[name]) for name in _COLUMNS if columns.get(name) is not None}
    rewards = [None] * len(completions)
    asked = list(range(len(completions)))
    while asked:
        document = {name: [column[i] for i in asked] for name, column in columns.items()}
        document["completions"] = [completions[i] for i in asked]
        answer = client.ask("/trl", document, end)
        for index, reward in zip(asked, answer["rewards"]):
            rewards[index] = reward
        late = [asked[f["index"]] for f in answer["failures"] if f["kind"] == "deadline"]
        asked = late if client.seconds_left(end) > 5.0 else []
        time.sleep(1.0 if asked else 0.0)
    return rewards
