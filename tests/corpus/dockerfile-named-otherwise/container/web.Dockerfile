FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip install ".[web]"

FROM build
EXPOSE 8090
CMD ["granary-web", "--listen", "0.0.0.0:8090"]
