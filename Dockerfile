# The media API as a container: dependencies in a virtual environment, our code, fonts, nothing that builds.
# Pin the base by digest where builds must repeat: --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim

# -- builder: only its /opt/venv and its compiled /srv go on ---------------------------------------------------------
FROM ${PYTHON_IMAGE} AS builder

# Without pip inside, so the final environment cannot install anything.
RUN python3 -m venv --without-pip /opt/venv
COPY requirements.txt /tmp/requirements.txt
# The list alone decides this layer: a change of our code does not install again. Wheels only, so no compiler is needed.
RUN python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
    --only-binary=:all: --requirement /tmp/requirements.txt

WORKDIR /srv
COPY alembic.ini ./
COPY alembic ./alembic
COPY app ./app
# With a read-only root nobody could write the byte code later, and each start would compile again.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash app

# -- final -----------------------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}

# Text in a drawing's thumbnail is drawn with these; without any font resvg leaves it out. 4 MB, and no program.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

# The two directories belong to the service, and a new named volume takes over their owner.
RUN groupadd --gid 10001 media \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin media \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/media/uploads /var/lib/media/data

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /srv /srv

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=8002 \
    UPLOAD_DIR=/var/lib/media/uploads \
    DATA_DIR=/var/lib/media/data

WORKDIR /srv
USER 10001:10001
EXPOSE 8002
STOPSIGNAL SIGTERM

# /healthz, not /readyz: a database that is away is no reason to replace the container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

# Without a shell in between: SIGTERM reaches the server, which finishes running requests (SHUTDOWN_GRACE_S).
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]

# Last, because every commit changes them: no layer above is made again for a new number.
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="content-service-media" \
      org.opencontainers.image.description="Upload, check, process, store and deliver images, video, audio and documents." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
