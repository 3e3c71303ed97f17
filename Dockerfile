# The image of a job: Python, Covalent and this package. Build it where the wheel is:
#
#     make wheel
#     docker build --tag covalent-awsbatch .
#
# The minor version of Python must be that of the machine which dispatches: docker build --build-arg PYTHON=3.12 …
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS packages
RUN python -m venv /opt/covalent
COPY dist/*.whl /tmp/
RUN /opt/covalent/bin/pip install --no-cache-dir /tmp/*.whl

FROM python:${PYTHON}-slim
RUN useradd --create-home covalent
# The environment is the user's own, so that a DepsPip can install into it.
COPY --from=packages --chown=covalent:covalent /opt/covalent /opt/covalent
ENV PATH=/opt/covalent/bin:$PATH
USER covalent
WORKDIR /home/covalent
CMD ["python", "-m", "covalent_awsbatch_plugin.runner"]
