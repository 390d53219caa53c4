import yaml
from aiohttp import web

with open("config.yaml") as file:
    CONFIG = yaml.safe_load(file)

if __name__ == "__main__":
    web.run_app(web.Application(), port=CONFIG["port"])
