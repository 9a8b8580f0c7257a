# The whole pipeline, as a checkout with its environment. For CUDA, an index that has it:
#   --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE}
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make npm \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home genfoundry \
    && install --directory --owner=genfoundry /genfoundry
USER genfoundry
WORKDIR /genfoundry
COPY --chown=genfoundry Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY --chown=genfoundry src src
RUN PIP_NO_CACHE_DIR=1 PIP_EXTRA_INDEX_URL=${TORCH_INDEX} make .venv/.ready
COPY --chown=genfoundry . .
# What a volume is mounted on is whose the folder in the image is.
RUN mkdir -p .dvc/cache dist mlartifacts
ENTRYPOINT ["make"]
CMD ["repro"]
