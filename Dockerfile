# By digest, so that a build has the base image that was tested. To renew it, in both lines:
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS builder

WORKDIR /build
COPY requirements/build.txt requirements/run.txt requirements/
# pip installs nothing whose hash isn't in requirements/. The exporter's own environment has no pip.
RUN python -m venv tools \
    && tools/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/partnercenter-exporter \
    && tools/bin/python -m pip --python /opt/partnercenter-exporter/bin/python install \
        --no-cache-dir --no-compile --require-hashes -r requirements/run.txt

COPY pyproject.toml hatch_build.py README.md LICENSE config.example.yaml ./
COPY deploy/collectors deploy/collectors
COPY deploy/helm deploy/helm
COPY deploy/kubernetes deploy/kubernetes
COPY deploy/systemd deploy/systemd
COPY grafana grafana
COPY mixin mixin
COPY prometheus prometheus
COPY exporter exporter
COPY partnercenter_simulator partnercenter_simulator
# Unchecked bytecode is never compared with its source: nothing can write a newer one at run time.
RUN tools/bin/python -m build --wheel --no-isolation \
    && tools/bin/python -m pip --python /opt/partnercenter-exporter/bin/python install \
        --no-cache-dir --no-compile --no-deps --no-index dist/*.whl \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/partnercenter-exporter/lib


FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# The base image's standard library has no bytecode; on a read-only file system it would be compiled at every start.
RUN python -m compileall -q --invalidation-mode unchecked-hash \
        -x '/(test|tests|idlelib|lib2to3|ensurepip|turtledemo|site-packages|dist-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && groupadd --gid 10058 exporter \
    && useradd --uid 10058 --gid exporter --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin exporter \
    && install --directory --mode 0700 --owner exporter --group exporter /var/lib/partnercenter-exporter

COPY --from=builder /opt/partnercenter-exporter /opt/partnercenter-exporter

# The state directory is the only writable one; `demo` keeps its files there too. With `container`, as Podman sets it,
# commands in messages are for the host.
ENV PATH=/opt/partnercenter-exporter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/var/lib/partnercenter-exporter \
    container=oci

# Refresh tokens and the last good data. Keep it: a renewed refresh token is stored nowhere else.
VOLUME ["/var/lib/partnercenter-exporter"]
# Every command looks for config.yaml here.
WORKDIR /etc/partnercenter-exporter
EXPOSE 10058
# Numeric, so that Kubernetes can verify that it isn't root.
USER 10058:10058
STOPSIGNAL SIGTERM

# Asks where the exporter listens by its own flags, whichever are given to `docker run`.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 \
    CMD ["partnercenter-exporter", "healthcheck", "--pid=1"]
ENTRYPOINT ["partnercenter-exporter"]
CMD ["--config.file=/etc/partnercenter-exporter/config.yaml"]

ARG VERSION=unknown
ARG REVISION=unknown
ARG BRANCH=unknown
ENV PARTNERCENTER_EXPORTER_REVISION=$REVISION \
    PARTNERCENTER_EXPORTER_BRANCH=$BRANCH
LABEL org.opencontainers.image.title="partnercenter-exporter" \
      org.opencontainers.image.description="Prometheus exporter for licence usage in Microsoft Partner Center" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
