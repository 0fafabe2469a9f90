# The agent for pods and nodes without it: the binary, git, ssh, certificates. It drives an engine
# elsewhere and holds none.
#
#   cargo build --release
#   docker build -f docker/agent.Dockerfile -t agent target/release
#
# The base's C library must not be older than that of the machine that built the binary; bookworm has 2.36.
# Without a registry: --build-arg BASE=agent-base:bookworm, which docker/base.sh makes.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN command -v git && command -v ssh && [ -e /etc/ssl/certs/ca-certificates.crt ] || \
    { apt-get update && \
      apt-get install -y --no-install-recommends ca-certificates git openssh-client && \
      rm -rf /var/lib/apt/lists/*; }
COPY agent /usr/local/bin/agent
RUN useradd --create-home --uid 1000 agent
USER 1000
WORKDIR /home/agent
ENTRYPOINT ["agent"]
