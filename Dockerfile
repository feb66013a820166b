# docker build -t genre_utils .
# docker run --rm genre_utils make run                            the paper on demo music
# docker run --rm -p 127.0.0.1:8888:8888 genre_utils              JupyterLab, at the address with the token that it prints
# docker run --rm -v genre_runs:/home/genre/project/runs …        keep the runs
FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates make python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home genre
USER genre
WORKDIR /home/genre/project
COPY --chown=genre . .
RUN mkdir -p runs data && PIP_NO_CACHE_DIR=1 make .venv/installed
EXPOSE 8888
CMD [".venv/bin/jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "--notebook-dir=.", "notebooks/01_eda.ipynb"]
