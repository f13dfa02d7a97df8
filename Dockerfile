# standpipe's image: builds, runs the unit tests, ships what runs.
#
#   docker build -t standpipe .        or: podman build --format docker, buildah bud --format docker
#   docker run --read-only -e RELAY_URL=… -e REDIS_URL=… -e DATABASE_URL=… -p 5000:5000 standpipe
#
# It writes nothing to its file system, needs no shell, no capability and no user of a name.
# The HEALTHCHECK exists in Docker's image format only; Kubernetes asks /livez and /readyz itself.

FROM docker.io/library/debian:trixie-slim AS build
WORKDIR /src
# The list of packages first: it changes rarely, so this layer stays.
COPY deps/debian-13.txt deps/
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        $(sed -n 's/^build: //p' deps/debian-13.txt) libcmocka-dev python3
COPY . .
# The unit tests alone: the others need servers. A failed test is a failed build.
RUN cmake -G Ninja -S . -B /build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr \
    && ninja -C /build \
    && ctest --test-dir /build -L unit --output-on-failure \
    && DESTDIR=/image cmake --install /build --strip \
    && rm -rf /image/usr/share /image/lib /image/usr/lib
# Whose files the binary loads, by Debian's own book; so scanners see the libraries with their versions.
RUN ldd /image/usr/bin/standpipe | awk '/=> \// { print $3 }' | xargs -n 1 realpath | sort -u \
    | xargs dpkg-query --search | cut -d: -f1 | sort -u >/packages

FROM docker.io/library/debian:trixie-slim
COPY --from=build /packages /tmp/packages
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates $(cat /tmp/packages) \
    && apt-get clean \
    && rm -rf /tmp/packages /var/lib/apt/lists/* /var/log/* /var/cache/debconf/* /var/cache/ldconfig/*
COPY --from=build /image/ /

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="standpipe" \
      org.opencontainers.image.description="An AT Protocol firehose into PostgreSQL, through a Redis Stream" \
      org.opencontainers.image.licenses="ISC" \
      org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 5000
# The same signal that `kill` and systemd send: drain, acknowledge, save the cursor, exit 0.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/bin/standpipe", "status", "--check", "--live"]
ENTRYPOINT ["/usr/bin/standpipe"]
CMD ["run"]
