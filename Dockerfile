# Shelly's page in a small image. Build and run:
#   docker build -t shelly .
#   docker run --rm -p 127.0.0.1:4000:4000 --read-only --cap-drop ALL shelly

FROM python:3.12-slim AS builder
WORKDIR /source
COPY . .
RUN python -m venv /opt/shelly && /opt/shelly/bin/pip install --no-cache-dir .

FROM python:3.12-slim
# onnxruntime, numpy and Pillow bring their own libraries; nothing of the system is added.
RUN useradd --system --no-create-home --shell /usr/sbin/nologin shelly
COPY --from=builder /opt/shelly /opt/shelly
ENV PATH=/opt/shelly/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER shelly
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ.get('SHELLY_PORT') or 4000}/health\", timeout=4)"]
# The port is published by whoever runs the image, so any name may lead to it; set
# SHELLY_ALLOWED_HOST to the names that should.
CMD ["shelly", "web", "--host", "0.0.0.0", "--log-format", "json"]
