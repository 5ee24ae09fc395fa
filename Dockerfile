FROM apache/airflow:3.3.2-python3.12

# The environment becomes that of the locks, package for package: what the base image has besides is removed.
# EXTRA_LOCKS=ray.txt adds Ray, for the profile `ray` of docker-compose.yaml.
ARG EXTRA_LOCKS=""
COPY requirements.txt requirements/image.txt requirements/ray.txt /opt/cofi/requirements/
RUN cd /opt/cofi/requirements \
 && uv pip sync --no-cache --compile-bytecode --require-hashes requirements.txt image.txt ${EXTRA_LOCKS} \
 && mkdir --mode 750 /opt/airflow/store /opt/airflow/cache

# .dockerignore says what comes: cofi_jobs, its metadata, and dags.
COPY --chown=airflow:0 . /opt/cofi/
RUN uv pip install --no-cache --compile-bytecode --no-deps --no-build-isolation /opt/cofi \
 && python -m compileall -q /opt/cofi/dags

# A volume mounted at store or cache takes over the folder's owner, the user airflow, as which the base image runs
# everything. The rest may be read-only, as in docker-compose.yaml: what libraries keep goes into /tmp.
ENV AIRFLOW__CORE__DAGS_FOLDER=/opt/cofi/dags \
    COFI_STORE=/opt/airflow/store \
    COFI_CACHE=/opt/airflow/cache
