# One recipe for every service. What differs is said by three arguments, which docker-compose.yml gives (services/cli/deploy/fleet.py has the table):
#   SERVICE  its name                      order-executor
#   MODULE   what runs                     services.order_executor
#   KIND     which dependencies it holds   executor: requirements/images/executor.lock
#
#   docker build --build-arg SERVICE=risk-gate --build-arg MODULE=services.risk_gate --build-arg KIND=gate -t bulkhead/risk-gate .
#
# What comes out holds Python, the locked packages of its kind and our source: no shell, no package manager, nothing setuid, no root. Only `packages` is made once
# a kind; system and source are the same for all.
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS packages
ARG KIND
COPY requirements/images/build.lock requirements/images/${KIND}.lock /locks/
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_DEPS=1 PIP_ROOT_USER_ACTION=ignore
# what is built from source (nkeys) is built by a setuptools whose hash we know, not by the newest one
RUN python -m pip install -q --require-hashes -r /locks/build.lock \
 && python -m pip wheel -q --require-hashes --no-build-isolation -w /wheels -r "/locks/${KIND}.lock" \
 && python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install -q --no-index /wheels/*.whl \
 && python -m compileall -q -j 0 /venv/lib

FROM ${PYTHON} AS system
COPY deploy/images/bare.py /bare.py
RUN mkdir -p /state && chown 10001:10001 /state
RUN ["python", "-B", "/bare.py"]
RUN ["python", "-c", "import os; os.remove('/bare.py')"]

FROM ${PYTHON} AS source
COPY deploy/images/run.py /app/run.py
COPY deploy/nats /app/deploy/nats
COPY libs /app/libs
COPY services /app/services
RUN python -m compileall -q -j 0 /app

FROM scratch
ARG SERVICE
ARG MODULE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="bulkhead ${SERVICE}" org.opencontainers.image.version="${VERSION}" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=system / /
COPY --from=source /app /app
COPY --from=packages /venv /venv
ENV PATH=/venv/bin:/usr/local/bin PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 MODULE=${MODULE} \
    BULKHEAD_HOME=/state BULKHEAD_HTTP_HOST=0.0.0.0 BULKHEAD_HTTP_PORT=9100
WORKDIR /state
USER 10001:10001
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["python", "-m", "libs.runtime.health_check"]
ENTRYPOINT ["python", "/app/run.py"]
