#!/usr/bin/env bash
# Measures real servers with tiny random weights: run.sh AGENT OUT. README.md says what is measured.
#
# The environments are made where they are missing: AGENT_SERVERS_LLAMA (llama-cpp-python, which
# compiles llama.cpp) and AGENT_SERVERS_HF (transformers and torch, 6 GB). A server whose environment
# cannot be made is left out, and said. Exit code 1 if a measurement failed.
set -euo pipefail

agent=$(realpath "$1")
out=$(mkdir -p "$2" && realpath "$2")
here=$(dirname "$(realpath "$0")")
llama=${AGENT_SERVERS_LLAMA:-$out/llama}
hf=${AGENT_SERVERS_HF:-$out/hf}
failed=0
pid=

stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; }
    pid=
}
trap stop EXIT

say() { printf '%s\n' "$*" >&2; }

# Two jobs at most: compiling llama.cpp takes 1 GB for each.
make_llama() {
    python3 -m venv "$llama"
    CMAKE_BUILD_PARALLEL_LEVEL=2 CMAKE_ARGS="-DGGML_OPENMP=OFF -DLLAMA_BUILD_TESTS=OFF \
-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF" \
        "$llama/bin/pip" install -q gguf 'llama-cpp-python[server]'
}

make_hf() {
    python3 -m venv "$hf"
    "$hf/bin/pip" install -q 'transformers[serving]' torch
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# up NAME URL COMMAND...: starts a server and waits until it answers.
up() {
    local name=$1 url=$2
    shift 2
    mkdir -p "$out/$name"
    "$@" >"$out/$name/server.log" 2>&1 &
    pid=$!
    for _ in $(seq 240); do
        if python3 -c "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)" \
            "$url/models" 2>/dev/null; then
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 1
    done
    say "$name did not start; $out/$name/server.log says why"
    failed=1
    return 1
}

# measure NAME URL MODEL [ARGUMENT...]: records, probes, and runs the bundled sample end to end.
measure() {
    local name=$1 url=$2 model=$3
    shift 3
    local args=(--base-url "$url" --model "$model" --sandbox local)
    python3 "$here/record.py" "$url" "$model" "$out/$name/recorded" >"$out/$name/record.log"
    timeout 300 "$agent" doctor --json --context 8192 "${args[@]}" >"$out/$name/doctor.json" || failed=1
    for stream in off on; do
        rm -rf "$out/$name/run-$stream"
        local code=0
        "$agent" run sample -o "$out/$name/run-$stream" "${args[@]}" "$@" -j 1 \
            --instance sample__ledgerly-1 --samples 3 --tests 1 --set model.stream="$stream" \
            --set model.n_per_request=3 --set model.timeout=120 \
            --set localize.max_tokens=48 --set repair.max_tokens=48 --set reproduce.max_tokens=48 \
            --set localize.tree_tokens=400 --set repair.context_tokens=1200 \
            --set reproduce.context_tokens=600 >"$out/$name/run-$stream.log" 2>&1 || code=$?
        # Noise makes no patch: 1 says that the run came to its end without one.
        say "$name, streams $stream: exit code $code"
        [ "$code" -le 1 ] || failed=1
    done
}

if [ -x "$llama/bin/python" ] || make_llama; then
    "$llama/bin/python" "$here/weights.py" gguf "$out/tiny.gguf"
    port=$(free_port)
    url=http://127.0.0.1:$port/v1
    if up llama-cpp-python-embedding "$url" "$llama/bin/python" -m llama_cpp.server \
        --model "$out/tiny.gguf" --model_alias tiny --n_ctx 8192 --n_threads 2 --host 127.0.0.1 \
        --port "$port" --embedding true; then
        "$agent" doctor --json --sandbox local --embeddings-url "$url" \
            >"$out/llama-cpp-python-embedding/embeddings.json" || failed=1
        timeout 300 "$agent" localize sample --no-model --embeddings-url "$url" --set index.dir="$out/index" \
            --instance sample__ledgerly-1 --set localize.embeddings_files=2 \
            >"$out/llama-cpp-python-embedding/ranked.jsonl" || failed=1
    fi
    stop
    port=$(free_port)
    url=http://127.0.0.1:$port/v1
    if up llama-cpp-python "$url" "$llama/bin/python" -m llama_cpp.server --model "$out/tiny.gguf" \
        --model_alias tiny --n_ctx 8192 --n_threads 2 --host 127.0.0.1 --port "$port" \
        --interrupt_requests false; then
        measure llama-cpp-python "$url" tiny
    fi
    stop
else
    say "llama-cpp-python cannot be installed here; left out"
fi

if [ -x "$hf/bin/transformers" ] || make_hf; then
    [ -e "$out/tiny-hf/config.json" ] || "$hf/bin/python" "$here/weights.py" hf "$out/tiny-hf"
    port=$(free_port)
    url=http://127.0.0.1:$port/v1
    if HF_HUB_OFFLINE=1 up transformers "$url" "$hf/bin/transformers" serve "$out/tiny-hf" \
        --host 127.0.0.1 --port "$port" --device cpu; then
        measure transformers "$url" "$out/tiny-hf"
    fi
    stop
else
    say "transformers cannot be installed here; left out"
fi

python3 "$here/table.py" "$out"
exit "$failed"
