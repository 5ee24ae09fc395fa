FROM apache/airflow:3.3.2-python3.12

# The environment becomes that of the locks, package for package: what the base image has besides is removed.
COPY requirements.txt requirements/image.txt /opt/cofi/requirements/
RUN cd /opt/cofi/requirements \
 && uv pip sync --no-cache --compile-bytecode --require-hashes requirements.txt image.txt \
 && mkdir /opt/airflow/store

# .dockerignore says what comes: cofi_jobs, its metadata, and dags.
COPY --chown=airflow:0 . /opt/cofi/
RUN uv pip install --no-cache --compile-bytecode --no-deps --no-build-isolation /opt/cofi \
 && python -m compileall -q /opt/cofi/dags

# A volume mounted at the store takes over the folder's owner, the user airflow, as which the base image runs everything.
ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/cofi/dags \
    COFI_STORE=/opt/airflow/store
