FROM python:3.13-slim
ENV ORCHARD_KIND=apples
WORKDIR /srv
COPY requirements.txt /tmp/
RUN pip install -r /tmp/requirements.txt
EXPOSE 9100
CMD ["gunicorn", "--bind", "0.0.0.0:9100", "orchard:app"]
