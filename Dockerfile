# Hubgate in a container:
#
#     docker build -t hubgate .
#     docker run -d -p 8443:8443 -v hubgate:/hubgate -e HUBGATE_SERVER_URL=https://mirror.corp:8443 hubgate
#
# Without its own Node (a development dependency) and without a build step: src runs as it is.
FROM node:26-slim

WORKDIR /opt/hubgate
COPY package.json package-lock.json .npmrc ./
# No install script runs: argon2 ships its binary, and nothing else has one.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY config/access.yaml config/access.schema.json config/
COPY src src

# The home: config, certs, state and data are worth keeping; run is of the moment.
RUN mkdir -p /hubgate/config /hubgate/certs /hubgate/state /hubgate/data /hubgate/run && chown -R 1000:1000 /hubgate
VOLUME ["/hubgate/config", "/hubgate/certs", "/hubgate/state", "/hubgate/data"]

# The image's own user "node".
USER 1000:1000
WORKDIR /hubgate
ENV NODE_ENV=production
EXPOSE 8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9090/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/hubgate/src/bin/hubgate.ts"]
CMD ["start"]
