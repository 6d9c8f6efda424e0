FROM debian:bookworm-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake gcc libc6-dev libcivetweb-dev libinih-dev \
        libjansson-dev libssl-dev libuv1-dev ninja-build pkg-config zlib1g-dev
COPY . /source
RUN cmake -S /source -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr \
    && cmake --build /build \
    && DESTDIR=/image cmake --install /build --strip --component daemon

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libcivetweb1 libinih1 libjansson4 libssl3 libuv1 \
        media-types zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /image /
COPY deploy/lastcall.ini /etc/lastcall/lastcall.ini

# By number, so that an orchestrator can see that it is not root.
USER 65534:65534
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/usr/bin/lastcall", "-c", "/etc/lastcall/lastcall.ini", "--health"]
ENTRYPOINT ["/usr/bin/lastcall"]
CMD ["-c", "/etc/lastcall/lastcall.ini"]
