# syntax=docker/dockerfile:1

# The dependencies, checked against their hashes, and the package itself, in a virtual environment.
FROM python:3.13-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /opt/postern \
    && /opt/postern/bin/pip install --require-hashes --no-deps -r requirements/runtime.txt \
    && python -m pip install --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src/ src/
COPY migrations/ migrations/
RUN python -m pip wheel --no-build-isolation --no-deps --wheel-dir dist . \
    && /opt/postern/bin/pip install --no-deps dist/*.whl \
    && /opt/postern/bin/python -m compileall -q /opt/postern/lib

FROM python:3.13-slim-bookworm

# A fixed number, so that a volume's owner can be set from outside.
RUN groupadd --gid 10001 postern \
    && useradd --uid 10001 --gid postern --no-create-home --home-dir /var/lib/postern --shell /usr/sbin/nologin postern \
    && install --directory --owner postern --group postern /var/lib/postern
COPY --from=build /opt/postern /opt/postern

# Settings come from the environment of the container. It refuses to start without SECRET_KEY and DATABASE_URL.
ENV PATH=/opt/postern/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001
WORKDIR /var/lib/postern
EXPOSE 8000
# It ends within 9 seconds, 5 of which it drains (DRAIN_SECONDS); Docker waits for 10.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health/ready', timeout=2)"]
ENTRYPOINT ["postern"]
CMD ["serve"]
