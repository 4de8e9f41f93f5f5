# A run behind HTTP, on a CPU, by a user without rights:
#   docker build -t striate .
#   docker run -p 8000:8000 -v "$PWD/runs/first:/run:ro" -v "$PWD/token:/token:ro" striate
FROM python:3.12-slim AS build
COPY pyproject.toml README.md LICENSE /source/
COPY src /source/src
# The wheels for CPUs alone carry no CUDA.
RUN python -m venv /opt/striate \
 && /opt/striate/bin/pip install --no-cache-dir \
      --index-url https://download.pytorch.org/whl/cpu "torch>=2.11" "torchvision>=0.26" \
 && /opt/striate/bin/pip install --no-cache-dir "/source[serve]"

FROM python:3.12-slim
COPY --from=build /opt/striate /opt/striate
RUN useradd --system --no-create-home --uid 10001 striate
ENV PATH=/opt/striate/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["striate", "serve", "/run", "--host", "0.0.0.0", "--token-file", "/token"]
