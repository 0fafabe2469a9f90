"""verl: `custom_reward_function.path=.../verl_reward.py custom_reward_function.name=compute_score`.

`compute_score` returns `{"score", "acc", "invalid"}`; verl trains on the first and logs all. Where
no true reward can be had (a container engine that is down, say) it raises RewardUnavailable after
AGENT_REWARD_TIMEOUT seconds, and never makes a number up. Set AGENT_REWARD_FALLBACK to a number if
the run must go on: such samples then carry `"masked": 1.0`.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import agent_reward_client as client  # noqa: E402

# Of `extra_info`, what says how a sample is scored; the rest stays in the trainer.
_KEYS = ("instance_id", "code_context", "kind")


def _needed(extra_info):
    return {key: extra_info[key] for key in _KEYS if key in (extra_info or {})}


def _or_fallback(ask, samples):
    fallback = os.environ.get("AGENT_REWARD_FALLBACK")
    try:
        results = ask()
    except client.RewardUnavailable:
        if fallback is None:
            raise
        return [
            {"score": float(fallback), "acc": 0.0, "invalid": 0.0, "masked": 1.0}
            for _ in range(samples)
        ]
    # verl keeps these in columns, so that every sample needs the same keys.
    return results if fallback is None else [dict(result, masked=0.0) for result in results]


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_kwargs):
    """The reward of one sample."""
    document = {
        "data_source": data_source,
        "solution_str": solution_str,
        "ground_truth": ground_truth,
        "extra_info": _needed(extra_info),
    }
    return _or_fallback(lambda: [client.ask("/verl", document)], 1)[0]


def compute_score_batch(data_sources, solution_strs, ground_truths, extra_infos=None, **_kwargs):
    """The rewards of a batch, for `reward_manager=batch`."""
    count = len(solution_strs)
    extras = [None] * count if extra_infos is None else extra_infos
    document = {
        "data_sources": list(data_sources),
        "solution_strs": list(solution_strs),
        "ground_truths": list(ground_truths),
        "extra_infos": [_needed(extra) for extra in extras],
    }
    return _or_fallback(lambda: client.ask("/verl", document), count)
