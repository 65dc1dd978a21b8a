# syntax=docker/dockerfile:1

# The image of Tidegate: one binary, no shell, no root.
#
#   docker build -t tidegate .
#   docker run --rm -p 8080:8080 tidegate run --upstream HOST:PORT --listen 0.0.0.0:8080
#   docker run --rm -p 8080:8080 -v "$PWD/config:/etc/tidegate:ro" tidegate

ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-bookworm AS build
# zlib-ng, which pingora's compression stands on, builds with cmake.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake=3.25.* \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY config/schema.json config/
COPY src src
# The caches keep crates and their objects between builds, so that a change of ours compiles ours only.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin tidegate \
    && install -D --mode 0755 target/release/tidegate /out/usr/local/bin/tidegate
# What the binary is linked with, at the places where it looks; the certificates of public authorities; a user.
RUN ldd /out/usr/local/bin/tidegate > /tmp/linked \
    && grep -o '/[^ ]*' /tmp/linked > /tmp/libraries \
    && xargs -I{} install -D {} /out{} < /tmp/libraries \
    && install -D --mode 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt \
    && echo 'nonroot:x:65532:65532::/:/sbin/nologin' > /out/etc/passwd \
    && echo 'hosts: files dns' > /out/etc/nsswitch.conf

# No shell, no package manager.
FROM scratch
LABEL org.opencontainers.image.title="tidegate" \
      org.opencontainers.image.description="Rate-limiting and caching sidecar proxy" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
ENV TIDEGATE_CONFIG=/etc/tidegate/tidegate.yaml
USER 65532:65532
EXPOSE 8080 8090 9901
STOPSIGNAL SIGTERM
# The image has no curl: the binary asks its own admin listener, which it finds in the configuration. The OCI format
# drops this line; Kubernetes has probes of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/tidegate", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/tidegate"]
CMD ["run", "--log-format", "json"]
