FROM apache/airflow:3.3.2-python3.12

# The environment becomes that of the locks, package for package: what the base image has besides is removed.
COPY requirements.txt requirements-image.txt /opt/cofi/
RUN uv pip sync --no-cache --compile-bytecode /opt/cofi/requirements.txt /opt/cofi/requirements-image.txt \
 && mkdir /opt/airflow/store

# .dockerignore says what comes: cofi_jobs, dags and, where there are any, plugins.
COPY --chown=airflow:0 . /opt/cofi/
RUN python -m compileall -q /opt/cofi

# A volume mounted at the store takes over the folder's owner, the user airflow, as which the base image runs everything.
ENV PYTHONPATH=/opt/cofi \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/cofi/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/cofi/plugins \
    COFI_STORE=/opt/airflow/store
