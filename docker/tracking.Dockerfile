# MLflow's server on PostgreSQL. Where that is, and its password, libpq reads from PGHOST, PGUSER, PGDATABASE, PGPASSWORD.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE}
COPY constraints.txt /tmp/constraints.txt
RUN python3 -m venv /opt/mlflow \
    && /opt/mlflow/bin/pip install --no-cache-dir --constraint /tmp/constraints.txt mlflow psycopg2-binary \
    && useradd --uid 10001 --create-home mlflow \
    && install --directory --owner=mlflow /artifacts
ENV PATH=/opt/mlflow/bin:/usr/local/bin:/usr/bin:/bin \
    MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2:// \
    MLFLOW_ARTIFACTS_DESTINATION=/artifacts
USER mlflow
WORKDIR /home/mlflow
EXPOSE 5000
ENTRYPOINT ["mlflow", "server"]
CMD ["--host", "0.0.0.0", "--port", "5000", "--workers", "2"]
