# Installs the requirements of an environment. Runs with the environment activated and pip's
# settings in the variables. $AGENT_PIP is pip's version. Without requirements no index is needed.
set -eu
cd /
python -c 'import sys; print("python: %d.%d" % sys.version_info[:2])'
if [ -s /agent-build/requirements.txt ]; then
    python -m pip install --no-cache-dir --disable-pip-version-check "pip==$AGENT_PIP"
    python -m pip install --no-cache-dir --disable-pip-version-check \
        -r /agent-build/requirements.txt
fi
