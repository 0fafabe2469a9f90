#!/usr/bin/env bash
# Load test of `agent reward serve`: throughput and latency, then four times more clients than the
# queue holds. Needs wrk (apt-get install wrk), curl and python3.
#
#   evaluation/trainers/load.sh [path/to/agent] [seconds]
#
# Prints a table. Exits with 1 if a request was lost: answered by nothing, or accepted and not scored.
set -euo pipefail
agent=${1:-target/release/agent}
seconds=${2:-10}
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT

# Bodies of one case each: model output of about 1,000 and 4,000 characters of change, and a batch.
python3 - "$dir" <<'PY'
import json, random, sys
rng = random.Random(7)
words = "self value result index total parse return if else for in not None data path".split()
def source(lines):
    return "".join("    " + " ".join(rng.choices(words, k=6)) + "\n" for _ in range(lines))
def case(lines):
    before, after, guess = source(lines), source(lines), source(lines)
    output = (f"<think>\nok\n</think>\n<solution>\n```python\n### m.py\n<<<<<<< SEARCH\n{before}"
              f"=======\n{guess}>>>>>>> REPLACE\n```\n</solution>")
    return {"code_context": {"m.py": before}, "oracle_new_content": {"m.py": after}, "output": output}
bodies = {"small": case(12), "large": case(52), "batch": [case(12) for _ in range(64)]}
for name, body in bodies.items():
    with open(f"{sys.argv[1]}/{name}.json", "w") as file:
        json.dump(body, file)
PY

cat > "$dir/post.lua" <<'LUA'
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args)
  local file = io.open(args[1]); wrk.body = file:read("*a"); file:close()
  wrk.method = "POST"; wrk.headers["Content-Type"] = "application/json"
  good, busy, other = 0, 0, 0
end
function response(status)
  if status == 200 then good = good + 1
  elseif status == 429 then busy = busy + 1
  else other = other + 1 end
end
function done(summary, latency, requests)
  local sum = { good = 0, busy = 0, other = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do sum[name] = sum[name] + thread:get(name) end
  end
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %.1f %.2f %.2f", sum.good, sum.busy, sum.other,
    e.connect + e.read + e.write + e.timeout, summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
LUA

start() { # options of the server
  rm -f "$dir/url"
  "$agent" reward serve --listen 127.0.0.1:0 "$@" > "$dir/url" 2> "$dir/log" &
  pid=$!
  for _ in $(seq 100); do [ -s "$dir/url" ] 2>/dev/null && break; sleep 0.1; done
  url=$(head -1 "$dir/url")
}

stop() { kill "$pid"; wait "$pid" || true; pid=; }

metric() { curl -s "$url/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

lost=0
row() { # name, body, connections, items of a request
  local name=$1 body=$2 connections=$3 items=$4 line good busy other errors rate p50 p99 scored
  line=$(wrk -t2 -c "$connections" -d "${seconds}s" --timeout 120s -s "$dir/post.lua" "$url/score" \
    -- "$dir/$body.json" | grep '^RESULT')
  read -r _ good busy other errors rate p50 p99 <<< "$line"
  # wrk leaves without reading the last answers; what was admitted then ends by hang-up.
  sleep 1
  scored=$(metric 'agent_reward_items_total{kind="similarity",result="scored"}')
  if [ "$other" != 0 ] || [ "$errors" != 0 ] || [ "${scored:-0}" -lt $((good * items)) ]; then lost=1; fi
  printf '%-26s %6d %9d %9d %6d %9.0f %9.0f %9.2f %9.2f\n' "$name" "$connections" "$good" "$busy" \
    "$((other + errors))" "$rate" "$(awk "BEGIN { print $good * $items / $seconds }")" "$p50" "$p99"
}

printf '%-26s %6s %9s %9s %6s %9s %9s %9s %9s\n' case conns '200' '429' lost 'req/s' 'items/s' 'p50 ms' 'p99 ms'
for spec in 'small:1' 'large:1' 'batch:64'; do
  body=${spec%%:*} items=${spec##*:}
  start; row "$body" "$body" 32 "$items"; stop
done
start; row 'small, 2000 connections' small 2000 1; stop
start --queue 32; row 'large, 4x the queue' large 128 1; stop
exit $lost
