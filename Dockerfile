# Image of twotower that contains its encoder and runs without network access.
#
#   docker build --build-arg TORCH_INDEX=... -t twotower:0.1.0 .
#
# TORCH_INDEX is the package index of PyTorch's CPU builds, which PyTorch's installation page names.
# Without it, pip installs the build of the default index, which may add gigabytes of GPU libraries.
FROM python:3.11.13-slim-bookworm

ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/twotower
COPY constraints.txt ./
# A separate layer: torch seldom changes, and is most of the image.
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch==2.13.0"
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY app ./app
COPY evaluation ./evaluation
COPY examples ./examples
COPY ingest ./ingest
COPY retrieval ./retrieval
COPY ui ./ui
RUN pip install --constraint constraints.txt ".[llm]"

RUN useradd --create-home --uid 1000 twotower && mkdir /data && chown twotower /data
USER twotower
ENV TWOTOWER_DATA_DIR=/data
RUN twotower encoder compile
WORKDIR /data
VOLUME /data
EXPOSE 8501
ENTRYPOINT ["twotower"]
CMD ["--help"]
