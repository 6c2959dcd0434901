# prefopt with all it needs, for CPUs and NVIDIA GPUs: docs/operations.md says how to run it.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm

# Where pip finds torch, if not where the rest is: PyPI's build brings CUDA, those of PyTorch's own
# index for CPUs do not and are a tenth of the size.
ARG TORCH_INDEX=
# Of pyproject.toml. vLLM wants an environment of its own, see docs/generation.md.
ARG EXTRAS=openai
# Owns what runs write on the volume and in the mounted folder.
ARG UID=1000

# tini is process 1: it hands SIGTERM on, which a run in its place would not hear.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid "${UID}" --create-home prefopt \
    && install --directory --owner prefopt --group prefopt /store /work

WORKDIR /opt/prefopt
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt \
    ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} torch
COPY . ./
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

# PYTHONSAFEPATH: a `tasks.py` in the mounted folder is not taken for prefopt's.
ENV PREFOPT_STORE=/store PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 DO_NOT_TRACK=1
USER ${UID}
WORKDIR /work
VOLUME /store
# prefopt is no entry point: workers of Prefect give the whole command, `prefect flow-run execute`.
ENTRYPOINT ["tini", "-g", "--"]
CMD ["prefopt", "--help"]
