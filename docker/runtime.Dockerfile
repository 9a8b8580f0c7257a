# Shipped files and what runs them: numpy, onnxruntime, Pillow. Nobody in it is root, and nothing in it needs to be written.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
COPY pyproject.toml README.md LICENSE constraints.txt /source/
COPY src /source/src
RUN python3 -m venv /opt/genfoundry \
    && /opt/genfoundry/bin/pip install --no-cache-dir --constraint /source/constraints.txt /source \
    && rm -r /opt/genfoundry/lib/python3*/site-packages/pip /opt/genfoundry/bin/pip*

FROM ${BASE}
RUN useradd --uid 10001 --home-dir /out --create-home genfoundry
COPY --from=build /opt/genfoundry /opt/genfoundry
ENV PATH=/opt/genfoundry/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
USER genfoundry
WORKDIR /out
ENTRYPOINT ["genfoundry"]
CMD ["--help"]
